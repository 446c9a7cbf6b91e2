//! Build tool: compiles one bundled script to bytecode with the very engine that will load it.
//! `compile INPUT.js OUTPUT.bin [--debug]`; --debug keeps line numbers for stack traces.

use gantry_host::engine::Engine;
use rquickjs_sys as js;
use std::ffi::CString;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() < 3 {
        eprintln!("usage: compile INPUT.js OUTPUT.bin [--debug]");
        std::process::exit(2);
    }
    let source = std::fs::read(&arguments[1]).expect("the input can be read");
    let engine = Engine::new();
    let length = source.len();
    let text = CString::new(source).expect("the source has no NUL byte");
    let name = CString::new(arguments[1].as_str()).expect("the name has no NUL byte");
    // SAFETY: the context is live, the text is NUL-terminated as JS_Eval asks, and the result is freed by exit.
    unsafe {
        js::JS_AddIntrinsicRegExpCompiler(engine.context);
        js::JS_AddIntrinsicEval(engine.context);
        let flags = (js::JS_EVAL_TYPE_GLOBAL | js::JS_EVAL_FLAG_COMPILE_ONLY | js::JS_EVAL_FLAG_STRICT) as i32;
        let function = js::JS_Eval(engine.context, text.as_ptr(), length as _, name.as_ptr(), flags);
        if js::JS_IsException(function) {
            engine.report(c"compile");
            std::process::exit(1);
        }
        let strip = if arguments.iter().any(|argument| argument == "--debug") {
            js::JS_WRITE_OBJ_STRIP_SOURCE
        } else {
            js::JS_WRITE_OBJ_STRIP_SOURCE | js::JS_WRITE_OBJ_STRIP_DEBUG
        };
        let mut size = 0;
        let flags = (js::JS_WRITE_OBJ_BYTECODE | strip) as i32;
        let bytes = js::JS_WriteObject(engine.context, &mut size, function, flags);
        let code = std::slice::from_raw_parts(bytes, size as usize);
        std::fs::write(&arguments[2], code).expect("the output can be written");
    }
}
