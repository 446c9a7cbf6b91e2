//! The engine's allocator: size classes cut from chunks. When a heap image is built (image.rs) the only chunk is the
//! room the image will have in the executable, so that every block lies where it will be found again; in a program that
//! was started, chunks are mapped wherever the kernel puts them, and blocks of the image are never used again.
//! Large blocks are mappings of their own and go back to the kernel when freed; small ones go to the free list of their
//! class. The engine cuts its own small blocks from pages: those are whole pages here, too. Single-threaded.
//!
//! Block layout: 8 bytes holding the usable size, then the usable bytes (8-aligned, which is all QuickJS asks for);
//! these never begin where a page does. A page has no header.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ops::Range;
use core::ptr::{addr_of, addr_of_mut, null_mut};
use rquickjs_sys as js;

const HEADER: usize = 8;
/// Since kernel 5.14; before that it fails, which is of no consequence.
const MADV_POPULATE_WRITE: libc::c_int = 23;
/// Bytes asked of the kernel when the classes need more.
const CHUNK: usize = 1 << 20;
/// What is populated of a new chunk by one call: any program fills it, and single faults would cost four times as much.
const POPULATED: usize = 64 << 10;
/// Usable bytes of the largest block that comes from a class; larger ones come from mmap.
const LARGEST_CLASS: usize = 64 << 10;
pub const PAGE: usize = 4096;
/// Pages are cut from runs of this many bytes, so that they do not lie scattered between other blocks.
const RUN: usize = 16 * PAGE;
/// Holes of so many pages are used for pages.
const HOLE_PAGES: usize = 3;
/// A block of so many bytes is a page. Larger ones are mappings once a chunk was full: who is busy once shrinks again.
const PAGED: core::ops::RangeInclusive<usize> = PAGE / 8 * 7 + 1..=PAGE;
/// Free pages that are kept when memory is given back.
const KEPT: usize = 4;
/// Classes of 16 bytes up to 512, then four to each doubling.
const FINE_LIMIT: usize = 512;
const FINE_CLASSES: usize = FINE_LIMIT / 16;
const CLASSES: usize = FINE_CLASSES + 7 * 4;

struct Arena {
    next: usize,
    end: usize,
    chunks: usize,
    free: [*mut u8; CLASSES],
    /// What is left of the current run, and pages that were freed.
    run: Range<usize>,
    free_pages: *mut u8,
    /// The heap image's place, empty without one.
    image: Range<usize>,
    /// Everything must come from the room, and what is freed is wiped.
    building: bool,
}

static mut ARENA: Arena = Arena {
    next: 0,
    end: 0,
    chunks: 0,
    free: [null_mut(); CLASSES],
    run: 0..0,
    free_pages: null_mut(),
    image: 0..0,
    building: false,
};

/// Free pages that the kernel has taken back.
static mut RELEASED: Vec<usize> = Vec::new();

/// While building: what large blocks left in the room when they were freed.
static mut HOLES: Vec<Range<usize>> = Vec::new();

/// From now on all blocks come from `room`.
///
/// # Safety
/// Before the first allocation; `room` is zeroed memory that nothing else uses.
pub unsafe fn build_in(room: Range<usize>) {
    let arena = &mut *addr_of_mut!(ARENA);
    (arena.next, arena.end, arena.building) = (room.start, room.end, true);
}

/// Where the room is used up to.
pub fn built() -> usize {
    // SAFETY: one thread.
    let arena = unsafe { &*addr_of!(ARENA) };
    if arena.run.end == arena.next { arena.run.start } else { arena.next }
}

/// Goes on with a heap image. Its blocks are given up when they are freed: to use them again would cost a page each.
///
/// # Safety
/// Before the first allocation; `image` was made by this allocator and lies where it was built.
pub unsafe fn go_on_with(image: Range<usize>) {
    (*addr_of_mut!(ARENA)).image = image;
}

pub fn functions() -> *const js::JSMallocFunctions {
    static FUNCTIONS: js::JSMallocFunctions = js::JSMallocFunctions {
        js_calloc: Some(calloc),
        js_malloc: Some(malloc),
        js_free: Some(free),
        js_realloc: Some(realloc),
        js_malloc_usable_size: Some(usable_size),
    };
    &FUNCTIONS
}

/// The class of a block with `size` usable bytes, and what is usable in the class's blocks.
fn class_of(size: usize) -> (usize, usize) {
    if size <= FINE_LIMIT {
        let class = size.max(1).div_ceil(16) - 1;
        return (class, (class + 1) * 16);
    }
    let octave = (usize::BITS - (size - 1).leading_zeros()) as usize - 10;
    let quarter = 128usize << octave;
    let step = (size - (FINE_LIMIT << octave)).div_ceil(quarter);
    (FINE_CLASSES + octave * 4 + step - 1, (FINE_LIMIT << octave) + step * quarter)
}

unsafe extern "C" fn malloc(_opaque: *mut c_void, size: js::size_t) -> *mut c_void {
    let size = size as usize;
    // SAFETY: one thread; nothing below re-enters the allocator.
    let arena = &mut *addr_of_mut!(ARENA);
    if size > LARGEST_CLASS {
        let Some(length) = size.checked_add(HEADER).and_then(|total| total.checked_next_multiple_of(PAGE)) else {
            return null_mut();
        };
        return if arena.building { cut(arena, length - HEADER) } else { map(length) };
    }
    if PAGED.contains(&size) {
        return page(arena);
    }
    let (class, usable) = class_of(size);
    let head = arena.free[class];
    if !head.is_null() {
        arena.free[class] = core::mem::replace(&mut *(head as *mut *mut u8), null_mut());
        return head as *mut c_void;
    }
    if size > PAGE && arena.chunks > 1 { map((size + HEADER).next_multiple_of(PAGE)) } else { cut(arena, usable) }
}

unsafe fn page(arena: &mut Arena) -> *mut c_void {
    let head = arena.free_pages;
    if !head.is_null() {
        arena.free_pages = core::mem::replace(&mut *(head as *mut *mut u8), null_mut());
        return head as *mut c_void;
    }
    if let Some(released) = (*addr_of_mut!(RELEASED)).pop() {
        return released as *mut c_void;
    }
    if arena.run.is_empty() {
        arena.run = whole_pages();
    }
    if arena.run.is_empty() {
        if !has(arena, RUN + PAGE) {
            return null_mut();
        }
        let start = arena.next.next_multiple_of(PAGE);
        (arena.run, arena.next) = (start..start + RUN, start + RUN);
    }
    arena.run.start += PAGE;
    (arena.run.start - PAGE) as *mut c_void
}

/// Those of a hole that has a few.
unsafe fn whole_pages() -> Range<usize> {
    let holes = &mut *addr_of_mut!(HOLES);
    let Some(at) = holes.iter().position(|hole| hole.len() >= HOLE_PAGES * PAGE) else { return 0..0 };
    let hole = holes.swap_remove(at);
    hole.start.next_multiple_of(PAGE)..hole.end / PAGE * PAGE
}

/// Lets the kernel have the free pages, but for a few.
pub fn give_back() {
    // SAFETY: one thread; free pages hold nothing but the link to the next.
    unsafe {
        let mut link = addr_of_mut!((*addr_of_mut!(ARENA)).free_pages);
        for _ in 0..KEPT {
            if !(*link).is_null() {
                link = *link as *mut *mut u8;
            }
        }
        let mut page = core::mem::replace(&mut *link, null_mut());
        while !page.is_null() {
            let next = *(page as *mut *mut u8);
            libc::madvise(page as *mut c_void, PAGE, libc::MADV_DONTNEED);
            (*addr_of_mut!(RELEASED)).push(page as usize);
            page = next;
        }
    }
}

/// A new block from the first hole that has room for it, or from the current chunk.
unsafe fn cut(arena: &mut Arena, usable: usize) -> *mut c_void {
    let most = usable + 2 * HEADER;
    let hole = (*addr_of_mut!(HOLES)).iter_mut().find(|hole| hole.len() >= most);
    if hole.is_none() && !has(arena, most) {
        return null_mut();
    }
    let next = hole.map_or(&mut arena.next, |hole| &mut hole.start);
    if (*next + HEADER) % PAGE == 0 {
        *next += HEADER;
    }
    let start = *next as *mut u8;
    *next += usable + HEADER;
    *(start as *mut usize) = usable;
    start.add(HEADER).cast()
}

/// Whether the current chunk has so many bytes, after another one was asked for. What is left of the last is given up.
unsafe fn has(arena: &mut Arena, bytes: usize) -> bool {
    if bytes <= arena.end - arena.next {
        return true;
    }
    let chunk = if arena.building { 0 } else { map(CHUNK) as usize };
    if chunk == 0 {
        return false;
    }
    libc::madvise((chunk - HEADER) as *mut c_void, POPULATED, MADV_POPULATE_WRITE);
    (arena.next, arena.end, arena.chunks) = (chunk, chunk - HEADER + CHUNK, arena.chunks + 1);
    true
}

/// A block that is a mapping of its own; `length` counts the header and is whole pages.
unsafe fn map(length: usize) -> *mut c_void {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let region = libc::mmap(null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
    if region == libc::MAP_FAILED {
        return null_mut();
    }
    *(region as *mut usize) = length - HEADER;
    region.add(HEADER)
}

unsafe extern "C" fn calloc(opaque: *mut c_void, count: js::size_t, size: js::size_t) -> *mut c_void {
    let Some(length) = count.checked_mul(size) else { return null_mut() };
    let block = malloc(opaque, length);
    if !block.is_null() && length as usize <= LARGEST_CLASS {
        core::ptr::write_bytes(block as *mut u8, 0, length as usize);
    }
    block
}

unsafe extern "C" fn free(_opaque: *mut c_void, block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: as in malloc; the block came from this class, whose size its header holds.
    let (arena, usable) = (&mut *addr_of_mut!(ARENA), usable_size(block) as usize);
    if arena.image.contains(&(block as usize)) {
        return;
    }
    if arena.building {
        // What a block held must not show in the image.
        core::ptr::write_bytes(block as *mut u8, 0, usable);
    }
    if usable == PAGE {
        *(block as *mut *mut u8) = arena.free_pages;
        arena.free_pages = block as *mut u8;
        return;
    }
    let start = block as usize - HEADER;
    if arena.building && usable > PAGE {
        return (*addr_of_mut!(HOLES)).push(start..start + HEADER + usable);
    }
    if (usable + HEADER) % PAGE == 0 { // It fills pages, as no class does.
        libc::munmap(start as *mut c_void, usable + HEADER);
        return;
    }
    let (class, _) = class_of(usable);
    *(block as *mut *mut u8) = arena.free[class];
    arena.free[class] = block as *mut u8;
}

unsafe extern "C" fn realloc(opaque: *mut c_void, block: *mut c_void, size: js::size_t) -> *mut c_void {
    if block.is_null() {
        return malloc(opaque, size);
    }
    let usable = usable_size(block) as usize;
    let size = size as usize;
    let fits = size <= usable && (usable <= LARGEST_CLASS && size >= usable / 2);
    if fits {
        return block;
    }
    let moved = malloc(opaque, size as js::size_t);
    if !moved.is_null() {
        core::ptr::copy_nonoverlapping(block as *const u8, moved as *mut u8, usable.min(size));
        free(opaque, block);
    }
    moved
}

unsafe extern "C" fn usable_size(block: *const c_void) -> js::size_t {
    if block.is_null() {
        return 0;
    }
    if block as usize % PAGE == 0 { PAGE as js::size_t } else { *(block as *const usize).sub(1) as js::size_t }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_fits_its_class_and_a_class_maps_to_itself() {
        for size in 0..=LARGEST_CLASS {
            let (class, usable) = class_of(size);
            assert!(class < CLASSES && usable >= size, "{size}: class {class}, usable {usable}");
            assert_eq!(class_of(usable), (class, usable));
        }
    }

    #[test]
    fn a_freed_block_is_used_again_and_keeps_its_content_on_growth() {
        unsafe {
            let first = malloc(null_mut(), 100) as *mut u8;
            first.write(42);
            free(null_mut(), first as *mut c_void);
            let second = malloc(null_mut(), 100) as *mut u8;
            assert_eq!(first, second);
            second.write(7);
            let grown = realloc(null_mut(), second as *mut c_void, 200_000) as *mut u8;
            assert_eq!(grown.read(), 7);
            free(null_mut(), grown as *mut c_void);
        }
    }
}
