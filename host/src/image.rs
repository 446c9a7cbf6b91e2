//! The heap of an executable's programs, built ahead of time. At build time the executable is linked with an empty room
//! where the image will lie, and called once: the programs' top level runs on an engine whose blocks all lie in the
//! room, and the heap is written out. The final link puts it at that very place as an ordinary writable segment, which
//! the kernel maps copy-on-write at exec; only a `main` is left to be called. Why it is sound: docs/decisions.
//!
//!     room ─▶ engine, top level, door ─▶ collect, settle seeds, forget the stack ─▶ file ─▶ segment ─▶ wake ─▶ main

use crate::engine::{Engine, COLLECT_AFTER, STACK_LIMIT};
use crate::{arena, door};
use rquickjs_sys as js;
use std::ffi::{c_void, CStr};
use std::ops::Range;

// Added to the engine (tools/build/source.ts): no object made so far is collected, and none that lies there is counted.
extern "C" {
    fn gantry_settle(runtime: *mut js::JSRuntime, more: usize) -> bool;
    fn gantry_set_image(start: *const c_void, size: usize);
}

/// Size of the room (table.ts), which is larger than any image will be.
const ROOM: usize = 64 << 20;
const PAGE: usize = 4096;

/// At the image's start.
#[repr(C)]
pub struct Head {
    pub engine: Engine,
    pub door: js::JSValue,
}

/// `build CODE TOUCH OUTPUT`: writes the image. TOUCH is run to make what the engine makes when it is first looked at
/// (touch.ts).
///
/// # Safety
/// Called before the first use of the arena, by an executable whose `room` is mapped, zeroed and ROOM bytes long.
pub unsafe fn build(room: usize, words: &[&str]) -> Result<(), String> {
    let [_, code, touch, output] = words else { return Err("usage: build CODE TOUCH OUTPUT".into()) };
    arena::build_in(room + std::mem::size_of::<Head>()..room + ROOM);
    let engine = Engine::new();
    engine.seed.settle();
    for file in [code, touch] {
        let code = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        if !engine.load(&code) || !engine.drain() {
            return Err("the top level failed".into());
        }
    }
    let door = door::make(engine.context);
    js::JS_RunGC(engine.runtime);
    if !gantry_settle(engine.runtime, COLLECT_AFTER) {
        return Err("the room is too small".into());
    }
    (room as *mut Head).write(Head { engine, door });
    let end = arena::built().next_multiple_of(PAGE);
    forget_process(room..end)?;
    let bytes = std::slice::from_raw_parts(room as *const u8, end - room);
    std::fs::write(output, bytes).map_err(|error| format!("{output}: {error}"))
}

/// Takes pointers to the stack (the engine keeps two, for its limit) out of the image, and makes sure that nothing else
/// in it points to what only this process has.
unsafe fn forget_process(image: Range<usize>) -> Result<(), String> {
    let maps = std::fs::read_to_string("/proc/self/maps").map_err(|error| error.to_string())?;
    let ranges: Vec<(Range<usize>, bool)> = maps.lines().filter_map(foreign).collect();
    for at in image.step_by(8) {
        let word = at as *mut usize;
        let found = ranges.iter().find(|(range, _)| range.contains(&*word));
        match found {
            Some((_, true)) => word.write(0),
            Some((_, false)) => return Err(format!("the image points to {:#x}, outside of it, at {at:#x}", *word)),
            None => {}
        }
    }
    Ok(())
}

/// A mapping among /proc/self/maps that is elsewhere in each process, with whether it is the stack, whose limit lies
/// below what it has grown to. libc's small heap, right behind the room, is left out: text of four letters looks like
/// its addresses. A pointer to it would show as a difference between two builds (tools/build/image.test.ts).
fn foreign(line: &str) -> Option<(Range<usize>, bool)> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    let far = range.start > u32::MAX as usize && !line.ends_with("[vsyscall]");
    let stack = line.ends_with("[stack]");
    far.then(|| if stack { (range.start - STACK_LIMIT..range.end, true) } else { (range, false) })
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

/// Arguments of the build as text.
pub fn words(arguments: &[*const std::ffi::c_char]) -> Vec<&str> {
    // SAFETY: the kernel's NUL-terminated vectors, which live as long as the process.
    arguments.iter().map(|word| unsafe { CStr::from_ptr(*word) }.to_str().unwrap_or("")).collect()
}
