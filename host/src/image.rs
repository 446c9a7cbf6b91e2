//! The heap of an executable's programs, built ahead of time. At build time the executable is linked with an empty room
//! where the image will lie, and called once: the programs' top level runs on an engine whose blocks all lie in the
//! room, and the heap is written out. The final link puts it at that very place as an ordinary writable segment, which
//! the kernel maps copy-on-write at exec; only a `main` is left to be called. Why it is sound: docs/decisions.
//!
//!     room ─▶ engine, top level, door ─▶ collect, settle, forget the stack ─▶ file ─▶ segment ─▶ wake ─▶ main

use crate::engine::{Engine, COLLECT_AFTER};
use crate::{arena, door};
use core::ffi::{c_char, c_void};
use core::ops::Range;
use rquickjs_sys as js;

// Added to the engine (tools/build/source.ts): no object made so far is collected, and none that lies there is counted.
extern "C" {
    fn gantry_settle(runtime: *mut js::JSRuntime, more: usize) -> bool;
    fn gantry_set_image(start: *const c_void, size: usize);
}

/// Size of the room (table.ts), half of which is larger than any image will be.
const ROOM: usize = 64 << 20;

/// At the image's start.
#[repr(C)]
pub struct Head {
    pub engine: Engine,
    pub door: js::JSValue,
}

/// `build CODE TOUCH OUTPUT`: writes the image. TOUCH is run to make what the engine makes when it is first looked at
/// (touch.ts). The upper half of the room is where both are read to.
///
/// # Safety
/// Called before the first use of the arena, by an executable whose `room` is mapped, zeroed and ROOM bytes long.
pub unsafe fn build(room: usize, words: &[*const c_char]) -> Result<(), &'static str> {
    let &[_, code, touch, output] = words else { return Err("usage: build CODE TOUCH OUTPUT") };
    let upper = (room + ROOM / 2) as *mut u8;
    arena::build_in(room + core::mem::size_of::<Head>()..room + ROOM / 2);
    let engine = Engine::new();
    engine.seed.settle();
    for file in [code, touch] {
        let length = libc::read(libc::open(file, libc::O_RDONLY), upper.cast(), ROOM / 2);
        let code = core::slice::from_raw_parts(upper, length.max(0) as usize);
        if !engine.load(code) || !engine.drain() {
            return Err("the top level failed");
        }
    }
    let door = door::make(engine.context);
    js::JS_RunGC(engine.runtime);
    if !gantry_settle(engine.runtime, COLLECT_AFTER) {
        return Err("the room is too small");
    }
    (room as *mut Head).write(Head { engine, door });
    let length = arena::built().next_multiple_of(arena::PAGE) - room;
    let file = libc::open(output, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, 0o644);
    let written = libc::write(file, room as *const c_void, length);
    if written == length as isize { Ok(()) } else { Err("the image could not be written") }
}

/// The engine of an image, ready to go on in this process.
///
/// # Safety
/// `image` is one that `build` made for this place in this executable, mapped writable; called once, before the first
/// use of the arena, on the main thread.
pub unsafe fn wake(image: Range<usize>) -> &'static Head {
    let head = &*(image.start as *const Head);
    gantry_set_image(image.start as *const c_void, image.len());
    arena::go_on_with(image);
    js::JS_UpdateStackTop(head.engine.runtime);
    head.engine.seed.renew();
    head
}
