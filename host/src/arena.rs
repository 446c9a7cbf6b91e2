//! The engine's allocator: size classes cut from one region at a fixed address, so that the heap of a program can later
//! be written out at build time and mapped back as it was. Large blocks are mappings of their own and go back to the
//! kernel when freed; small ones go to the free list of their class. Single-threaded by construction.
//!
//! Block layout: 8 bytes holding the usable size, then the usable bytes (8-aligned, which is all QuickJS asks for).

use rquickjs_sys as js;
use std::ffi::c_void;
use std::ptr::{addr_of_mut, null_mut};

const HEADER: usize = 8;
/// Where the region lies: far from where the kernel puts a static executable, its heap, stack and mappings.
const BASE: usize = 0x0000_2000_0000_0000;
/// Address space kept for small blocks; pages are taken from the kernel as they are touched.
const RESERVE: usize = 4 << 30;
/// Blocks up to this many bytes (header included) come from classes, larger ones from mmap.
const LARGEST_CLASS: usize = 64 << 10;
/// Classes of 16 bytes up to 512, then four to each doubling.
const FINE_LIMIT: usize = 512;
const FINE_CLASSES: usize = FINE_LIMIT / 16;
const CLASSES: usize = FINE_CLASSES + 7 * 4;

struct Arena {
    next: usize,
    free: [*mut u8; CLASSES],
}

static mut ARENA: Arena = Arena { next: 0, free: [null_mut(); CLASSES] };

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

/// The class of a block of `total` bytes and the class's block size.
fn class_of(total: usize) -> (usize, usize) {
    if total <= FINE_LIMIT {
        let class = total.div_ceil(16) - 1;
        return (class, (class + 1) * 16);
    }
    let octave = (usize::BITS - (total - 1).leading_zeros()) as usize - 10;
    let quarter = 128usize << octave;
    let step = (total - (FINE_LIMIT << octave)).div_ceil(quarter);
    (FINE_CLASSES + octave * 4 + step - 1, (FINE_LIMIT << octave) + step * quarter)
}

unsafe extern "C" fn malloc(_opaque: *mut c_void, size: js::size_t) -> *mut c_void {
    let size = size as usize;
    let Some(total) = size.checked_add(HEADER) else { return null_mut() };
    if total > LARGEST_CLASS {
        return map_large(total);
    }
    // SAFETY: one thread; nothing below re-enters the allocator.
    let arena = &mut *addr_of_mut!(ARENA);
    let (class, block) = class_of(total);
    let head = arena.free[class];
    if !head.is_null() {
        arena.free[class] = *(head as *mut *mut u8);
        return head as *mut c_void;
    }
    if arena.next == 0 && !reserve(arena) {
        return null_mut();
    }
    if arena.next + block > BASE + RESERVE {
        return null_mut();
    }
    let start = arena.next as *mut u8;
    arena.next += block;
    *(start as *mut usize) = block - HEADER;
    start.add(HEADER) as *mut c_void
}

unsafe fn reserve(arena: &mut Arena) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    let region = libc::mmap(BASE as *mut c_void, RESERVE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
    arena.next = BASE;
    region as usize == BASE
}

unsafe fn map_large(total: usize) -> *mut c_void {
    let length = total.next_multiple_of(4096);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let region = libc::mmap(null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
    if region == libc::MAP_FAILED {
        return null_mut();
    }
    *(region as *mut usize) = length - HEADER;
    (region as *mut u8).add(HEADER) as *mut c_void
}

unsafe extern "C" fn calloc(opaque: *mut c_void, count: js::size_t, size: js::size_t) -> *mut c_void {
    let Some(length) = count.checked_mul(size) else { return null_mut() };
    let block = malloc(opaque, length);
    if !block.is_null() && length as usize + HEADER <= LARGEST_CLASS {
        std::ptr::write_bytes(block as *mut u8, 0, length as usize);
    }
    block
}

unsafe extern "C" fn free(_opaque: *mut c_void, block: *mut c_void) {
    if block.is_null() {
        return;
    }
    let total = usable_size(block) as usize + HEADER;
    if total > LARGEST_CLASS {
        libc::munmap((block as *mut u8).sub(HEADER) as *mut c_void, total);
        return;
    }
    // SAFETY: as in malloc; the block came from this class, whose size its header holds.
    let arena = &mut *addr_of_mut!(ARENA);
    let (class, _) = class_of(total);
    *(block as *mut *mut u8) = arena.free[class];
    arena.free[class] = block as *mut u8;
}

unsafe extern "C" fn realloc(opaque: *mut c_void, block: *mut c_void, size: js::size_t) -> *mut c_void {
    if block.is_null() {
        return malloc(opaque, size);
    }
    let usable = usable_size(block) as usize;
    let size = size as usize;
    let fits = size <= usable && (usable + HEADER <= LARGEST_CLASS && size >= usable / 2);
    if fits {
        return block;
    }
    let moved = malloc(opaque, size as js::size_t);
    if !moved.is_null() {
        std::ptr::copy_nonoverlapping(block as *const u8, moved as *mut u8, usable.min(size));
        free(opaque, block);
    }
    moved
}

unsafe extern "C" fn usable_size(block: *const c_void) -> js::size_t {
    if block.is_null() {
        return 0;
    }
    *((block as *const u8).sub(HEADER) as *const usize) as js::size_t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_fits_its_class_and_a_class_maps_to_itself() {
        for total in 9..=LARGEST_CLASS {
            let (class, block) = class_of(total);
            assert!(class < CLASSES && block >= total, "{total}: class {class}, block {block}");
            assert_eq!(class_of(block), (class, block));
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
