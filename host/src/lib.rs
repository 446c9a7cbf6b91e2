//! The host's entry: finds the program that argv[0] names, wakes its engine or makes one, opens the door, calls main
//! and runs its jobs.
//!
//! One executable carries several programs in one content. tools/build writes a few lines of assembly that hold a table
//! of their names, and a `main` that passes the table on; everything else about a program is TypeScript.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

#[cfg(feature = "alone")]
mod alone;
pub mod arena;
mod door;
pub mod engine;
mod image;
mod lines;
mod seal;
mod seccomp;
mod text;
mod unprivileged;

use alloc::vec::Vec;
use core::ffi::{c_char, c_int};
use rquickjs_sys as js;

#[repr(C)]
pub struct Program {
    name: *const c_char,
    /// Whose main it is: another one's where `name` is an alias.
    main: *const c_char,
    content: *mut u8,
    length: usize,
    kind: usize,
    /// With which arguments to start over from a read-only copy of the executable: see seal.rs.
    seal: *const c_char,
}

/// What their content is: bytecode, whose top level is still to be run; a heap in which it has run (image.rs); or the
/// room in which such a heap is built.
const BYTECODE: usize = 0;
const IMAGE: usize = 1;

/// Exit code when a program ends by an exception nobody caught (EX_SOFTWARE of sysexits.h).
const EXIT_UNCAUGHT: c_int = 70;

/// The process's arguments and environment as the kernel laid them out; the title is written over them.
pub struct Start {
    pub arguments: Vec<*const c_char>,
    pub environment: Vec<*const c_char>,
}

/// # Safety
/// Called by the executable's `main` alone, with the vectors the kernel made (NULL-terminated arrays of NUL-terminated
/// strings that live as long as the process) and the table of at least one program that was linked with it.
#[no_mangle]
pub unsafe extern "C" fn gantry_main(
    argc: c_int,
    argv: *const *const c_char,
    envp: *const *const c_char,
    programs: *const Program,
    count: usize,
) -> c_int {
    let start = Start {
        arguments: (0..argc as usize).map(|at| *argv.add(at)).collect(),
        environment: (0..).map(|at| *envp.add(at)).take_while(|entry| !entry.is_null()).collect(),
    };
    if start.arguments.is_empty() {
        return EXIT_UNCAUGHT;
    }
    let program = &*seal::find(programs, count, start.arguments[0]);
    if seal::asks(program, argc as usize, argv) {
        unprivileged::seal(&start);
    }
    let content = program.content as usize;
    match program.kind {
        IMAGE => {
            let head = image::wake(content..content + program.length);
            door::open(head.engine.context, head.door, &start);
            run(&head.engine, program.main, head.door)
        }
        BYTECODE => {
            let engine = engine::Engine::new();
            engine.seed.renew();
            if !engine.load(core::slice::from_raw_parts(program.content, program.length)) || !engine.drain() {
                return EXIT_UNCAUGHT;
            }
            let door = door::make(engine.context);
            door::open(engine.context, door, &start);
            run(&engine, program.main, door)
        }
        _ => match image::build(content, &start.arguments) {
            Ok(()) => 0,
            Err(message) => {
                complain(&[b"gantry: heap image: ", message.as_bytes(), b"\n"]);
                EXIT_UNCAUGHT
            }
        },
    }
}

/// Writes to standard error, which may be gone.
fn complain(parts: &[&[u8]]) {
    for part in parts {
        // SAFETY: reads what the slice holds.
        unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
    }
}

/// Calls the program's main(door), then alternates between the engine's jobs and its own wait (door.idle), until either
/// returns an exit code.
unsafe fn run(engine: &engine::Engine, program: *const c_char, door: js::JSValue) -> c_int {
    let (context, main) = (engine.context, engine.main(program));
    let mut result = js::JS_Call(context, main, js::JS_UNDEFINED, 1, &door as *const _ as *mut _);
    loop {
        if js::JS_IsException(result) {
            engine.report(c"uncaught");
            return EXIT_UNCAUGHT;
        }
        if js::JS_IsNumber(result) {
            let mut code = 0;
            js::JS_ToInt32(context, &mut code, result);
            return code;
        }
        js::JS_FreeValue(context, result);
        if !engine.drain() {
            return EXIT_UNCAUGHT;
        }
        let idle = js::JS_GetPropertyStr(context, door, c"idle".as_ptr());
        if !js::JS_IsFunction(context, idle) {
            return 0;
        }
        result = js::JS_Call(context, idle, js::JS_UNDEFINED, 0, core::ptr::null_mut());
        js::JS_FreeValue(context, idle);
    }
}
