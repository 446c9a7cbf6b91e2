//! What Rust's standard library would bring beyond core and alloc. The executables do without it: linked statically it
//! brings names of hosts and users, reading of debug information and threads, 0.4 MB that nothing here uses. Left out
//! (the feature of this name) where this library is part of a program that has it: the compiler, the tests.

use core::alloc::{GlobalAlloc, Layout};

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: libc's functions keep what the trait asks for. Its blocks are aligned to 16; more is refused.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 { libc::malloc(layout.size()).cast() } else { core::ptr::null_mut() }
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        libc::free(block.cast());
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    crate::complain(&[alloc::format!("gantry: {info}\n").as_bytes()]);
    // SAFETY: it may be called anywhere.
    unsafe { libc::abort() }
}
