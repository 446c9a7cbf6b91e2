//! The host's entry: finds the program that argv[0] names, gives it an engine and the door, and runs its jobs.
//!
//! One executable carries several programs as bytecode. tools/build writes a few lines of assembly that hold them as a
//! table of names and blobs, and a `main` that passes the table on; everything else about a program is TypeScript.

pub mod arena;
mod door;
pub mod engine;
mod seal;
mod seccomp;
mod text;

use rquickjs_sys as js;
use std::ffi::{c_char, c_int, CStr};

#[repr(C)]
pub struct Program {
    name: *const c_char,
    code: *const u8,
    length: usize,
    /// When to start over from a read-only copy of the executable: see seal.rs.
    seal: *const c_char,
}

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
    let programs = std::slice::from_raw_parts(programs, count);
    let called = CStr::from_ptr(start.arguments[0]).to_bytes();
    let program = find(programs, called);
    if seal::wanted(program.seal, &start) {
        seal::seal(&start);
    }
    let engine = engine::Engine::new();
    let context = engine.context;
    if !engine.load(std::slice::from_raw_parts(program.code, program.length)) {
        return EXIT_UNCAUGHT;
    }
    let door = door::open(context, &start);
    run(&engine, door)
}

/// The program named by the last part of argv[0], with the historic prefix and suffix taken off if the whole name is
/// unknown; a file under another name runs the first program it carries.
unsafe fn find<'a>(programs: &'a [Program], called: &[u8]) -> &'a Program {
    let name = called.rsplit(|byte| *byte == b'/').next().unwrap_or(called);
    let bare = name.strip_prefix(b"docker-").unwrap_or(name);
    let short = bare.strip_suffix(b"-current").unwrap_or(bare);
    for candidate in [name, bare, short] {
        for program in programs {
            if CStr::from_ptr(program.name).to_bytes() == candidate {
                return program;
            }
        }
    }
    &programs[0]
}

/// Calls main(door), then alternates between the engine's jobs and the program's own wait (door.idle), until either
/// returns an exit code.
unsafe fn run(engine: &engine::Engine, door: js::JSValue) -> c_int {
    let context = engine.context;
    let global = js::JS_GetGlobalObject(context);
    let main = js::JS_GetPropertyStr(context, global, c"main".as_ptr());
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
        result = js::JS_Call(context, idle, js::JS_UNDEFINED, 0, std::ptr::null_mut());
        js::JS_FreeValue(context, idle);
    }
}
