//! The door: the few primitives through which TypeScript reaches the machine. Mechanism only; what a number means is
//! known in linux/ (TypeScript). Border names and their order are those of linux/door.ts.

use crate::{arena, lines, seccomp, text, Start};
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, CStr};
use rquickjs_sys as js;

type Context = *mut js::JSContext;
type Value = js::JSValue;
type Arguments = *mut Value;
type Function = unsafe extern "C" fn(Context, Value, c_int, Arguments) -> Value;

/// System calls take at most six arguments.
const SYSCALL_ARGUMENTS: usize = 6;

/// The process's argument area, for `title`; set once by `open`.
static mut TITLE: (*mut u8, usize) = (core::ptr::null_mut(), 0);

/// Makes the object that main receives, still without what the process was started with.
///
/// # Safety
/// `context` must be live.
pub unsafe fn make(context: *mut js::JSContext) -> js::JSValue {
    let door = js::JS_NewObject(context);
    let functions: [(&CStr, Function, c_int); 10] = [
        (c"syscall", syscall, 7),
        (c"syscalls", syscalls, 1),
        (c"address", address, 1),
        (c"memory", memory, 2),
        (c"encode", encode, 1),
        (c"decode", decode, 3),
        (c"title", title, 1),
        (c"collect", collect, 0),
        (c"records", records, 5),
        (c"seccomp", seccomp::compile, 5),
    ];
    for (name, function, length) in functions {
        let kind = js::JSCFunctionEnum_JS_CFUNC_generic;
        let value = js::JS_NewCFunction2(context, Some(function), name.as_ptr(), length, kind, 0);
        js::JS_SetPropertyStr(context, door, name.as_ptr(), value);
    }
    let ender = js::JS_NewNumber(context, end as usize as f64);
    js::JS_SetPropertyStr(context, door, c"ender".as_ptr(), ender);
    for name in [c"args", c"env", c"idle"] {
        js::JS_SetPropertyStr(context, door, name.as_ptr(), js::JS_NULL);
    }
    door
}

/// A signal's handler: the process ends with the code that shells give a program killed by it. It never returns, so it
/// needs no restorer, and it does nothing that a handler may not do.
unsafe extern "C" fn end(signal: c_int) {
    libc::_exit(128 + signal);
}

/// Gives the door the arguments and the environment.
///
/// # Safety
/// Called once, with the process's start vectors and what `make` returned for this context.
pub unsafe fn open(context: *mut js::JSContext, door: js::JSValue, start: &Start) {
    remember_title(start);
    js::JS_SetPropertyStr(context, door, c"args".as_ptr(), strings(context, &start.arguments));
    js::JS_SetPropertyStr(context, door, c"env".as_ptr(), strings(context, &start.environment));
}

unsafe fn remember_title(start: &Start) {
    let first = start.arguments[0];
    let last = start.environment.last().or(start.arguments.last()).copied().unwrap_or(first);
    let end = last as usize + CStr::from_ptr(last).to_bytes_with_nul().len();
    TITLE = (first as *mut u8, end - first as usize);
}

unsafe fn strings(context: *mut js::JSContext, list: &[*const c_char]) -> js::JSValue {
    let array = js::JS_NewArray(context);
    for (at, entry) in list.iter().enumerate() {
        let value = text::string_of(context, CStr::from_ptr(*entry).to_bytes());
        js::JS_SetPropertyUint32(context, array, at as u32, value);
    }
    array
}

/// The bytes behind an ArrayBuffer or a view of one. None leaves a pending exception.
pub unsafe fn buffer(context: *mut js::JSContext, value: js::JSValue) -> Option<&'static mut [u8]> {
    let mut size = 0;
    if js::JS_IsArrayBuffer(value) {
        let start = js::JS_GetArrayBuffer(context, &mut size, value);
        return slice(start, size as usize);
    }
    let (mut offset, mut length) = (0, 0);
    let whole = js::JS_GetTypedArrayBuffer(context, value, &mut offset, &mut length, core::ptr::null_mut());
    if js::JS_IsException(whole) {
        return None;
    }
    let start = js::JS_GetArrayBuffer(context, &mut size, whole);
    // The view keeps the buffer alive, so this reference may go before the bytes are used.
    js::JS_FreeValue(context, whole);
    slice(start.wrapping_add(offset as usize), length as usize)
}

unsafe fn slice(start: *mut u8, length: usize) -> Option<&'static mut [u8]> {
    if length == 0 {
        return Some(&mut []);
    }
    (!start.is_null()).then(|| core::slice::from_raw_parts_mut(start, length))
}

unsafe fn argument(count: c_int, arguments: Arguments, at: usize) -> js::JSValue {
    if at < count as usize { *arguments.add(at) } else { js::JS_UNDEFINED }
}

fn number(context: *mut js::JSContext, value: i64) -> js::JSValue {
    // SAFETY: making a number touches nothing but the context.
    unsafe {
        match i32::try_from(value) {
            Ok(small) => js::JS_MKVAL(js::JS_TAG_INT, small),
            Err(_) => js::JS_NewNumber(context, value as f64),
        }
    }
}

// Added to the engine (tools/build/source.ts).
extern "C" {
    fn gantry_collect(runtime: *mut js::JSRuntime);
}

/// collect(): frees objects that only refer to each other, and pages of no use; gives the address of this very frame:
/// below it all is free.
unsafe extern "C" fn collect(context: Context, _this: Value, _count: c_int, _arguments: Arguments) -> Value {
    gantry_collect(js::JS_GetRuntime(context));
    arena::give_back();
    let here = 0u8;
    number(context, core::ptr::addr_of!(here) as i64)
}

/// syscall(number, ...arguments): the raw result, a negative errno on failure. Strings go as NUL-terminated bytes,
/// buffers as their address, null as 0. A string with a NUL inside is refused: the kernel would see another path.
unsafe extern "C" fn syscall(context: Context, _this: Value, count: c_int, arguments: Arguments) -> Value {
    let mut code = 0i64;
    if js::JS_ToInt64(context, &mut code, argument(count, arguments, 0)) != 0 {
        return js::JS_EXCEPTION;
    }
    let mut words = [0i64; SYSCALL_ARGUMENTS];
    let mut texts: [Vec<u8>; SYSCALL_ARGUMENTS] = Default::default();
    for at in 0..SYSCALL_ARGUMENTS.min((count as usize).saturating_sub(1)) {
        let value = *arguments.add(at + 1);
        if !word(context, value, &mut texts[at], &mut words[at]) {
            return js::JS_EXCEPTION;
        }
    }
    number(context, raw(code, &words))
}

/// syscalls(rows): each row is a number and six arguments, as 64-bit words; the result takes the number's place.
/// Nothing runs between two of them. Gives the last result.
unsafe extern "C" fn syscalls(context: Context, _this: Value, count: c_int, arguments: Arguments) -> Value {
    let Some(rows) = buffer(context, argument(count, arguments, 0)) else { return js::JS_EXCEPTION };
    let mut last = 0;
    for row in rows.chunks_exact_mut(8 * (1 + SYSCALL_ARGUMENTS)) {
        let words = row.as_mut_ptr() as *mut i64;
        last = raw(words.read_unaligned(), &(words.add(1) as *const [i64; SYSCALL_ARGUMENTS]).read_unaligned());
        words.write_unaligned(last);
    }
    number(context, last)
}

/// One argument as the kernel wants it; false leaves a pending exception.
unsafe fn word(context: *mut js::JSContext, value: js::JSValue, text: &mut Vec<u8>, into: &mut i64) -> bool {
    if js::JS_IsString(value) {
        if !text::bytes_of(context, value, text) {
            return false;
        }
        if text.contains(&0) {
            js::JS_ThrowTypeError(context, c"a string for the kernel contains a NUL byte".as_ptr());
            return false;
        }
        text.push(0);
        *into = text.as_ptr() as i64;
    } else if js::JS_IsObject(value) {
        match buffer(context, value) {
            Some(bytes) => *into = bytes.as_ptr() as i64,
            None => return false,
        }
    } else if js::JS_IsBigInt(value) {
        return js::JS_ToBigInt64(context, into, value) == 0;
    } else if !js::JS_IsNull(value) && !js::JS_IsUndefined(value) {
        return js::JS_ToInt64(context, into, value) == 0;
    }
    true
}

/// The system call itself, not through libc's wrapper: clone3 and vfork-like calls return twice through this frame,
/// which is sound because the process is single-threaded and a child without CLONE_VM owns a copy of the stack.
#[inline(never)]
unsafe fn raw(code: i64, words: &[i64; SYSCALL_ARGUMENTS]) -> i64 {
    let result: i64;
    core::arch::asm!(
        "syscall",
        inlateout("rax") code => result,
        in("rdi") words[0], in("rsi") words[1], in("rdx") words[2],
        in("r10") words[3], in("r8") words[4], in("r9") words[5],
        lateout("rcx") _, lateout("r11") _,
    );
    result
}

/// address(buffer): where its bytes lie. Valid while the buffer is referenced and not resized.
unsafe extern "C" fn address(context: Context, _this: Value, count: c_int, arguments: Arguments) -> Value {
    match buffer(context, argument(count, arguments, 0)) {
        Some(bytes) => number(context, bytes.as_ptr() as i64),
        None => js::JS_EXCEPTION,
    }
}

/// memory(address, length): a view of mapped memory as a Uint8Array. The caller vouches for the range's life.
unsafe extern "C" fn memory(context: Context, _this: Value, count: c_int, arguments: Arguments) -> Value {
    let (mut start, mut length) = (0i64, 0i64);
    if js::JS_ToInt64(context, &mut start, argument(count, arguments, 0)) != 0
        || js::JS_ToInt64(context, &mut length, argument(count, arguments, 1)) != 0
    {
        return js::JS_EXCEPTION;
    }
    js::JS_NewUint8Array(context, start as *mut u8, length as _, None, core::ptr::null_mut(), false)
}

/// encode(text): its bytes, surrogate escapes undone.
unsafe extern "C" fn encode(context: Context, _this: Value, count: c_int, arguments: Arguments) -> Value {
    let mut bytes = Vec::new();
    if !text::bytes_of(context, argument(count, arguments, 0), &mut bytes) {
        return js::JS_EXCEPTION;
    }
    js::JS_NewUint8ArrayCopy(context, bytes.as_ptr(), bytes.len() as _)
}

/// decode(buffer, start, end): the text of that part of the bytes.
unsafe extern "C" fn decode(context: Context, _this: Value, count: c_int, arguments: Arguments) -> Value {
    let Some(bytes) = buffer(context, argument(count, arguments, 0)) else { return js::JS_EXCEPTION };
    let (mut start, mut end) = (0i64, bytes.len() as i64);
    if count > 1 && js::JS_ToInt64(context, &mut start, *arguments.add(1)) != 0
        || count > 2 && js::JS_ToInt64(context, &mut end, *arguments.add(2)) != 0
    {
        return js::JS_EXCEPTION;
    }
    match bytes.get(start.max(0) as usize..end.max(0) as usize) {
        Some(part) => text::string_of(context, part),
        None => js::JS_ThrowRangeError(context, c"decode: outside of the buffer".as_ptr()),
    }
}

/// title(text): what `ps` shows as this process's command line, cut to the room the kernel gave.
unsafe extern "C" fn title(context: Context, _this: Value, count: c_int, arguments: Arguments) -> Value {
    let mut bytes = Vec::new();
    if !text::bytes_of(context, argument(count, arguments, 0), &mut bytes) {
        return js::JS_EXCEPTION;
    }
    // SAFETY: the area is the process's own writable argument and environment block, whose text was copied into
    // JavaScript strings before the program began; libc's environ is not read afterwards.
    let (start, room) = TITLE;
    let length = bytes.len().min(room - 1);
    core::ptr::copy_nonoverlapping(bytes.as_ptr(), start, length);
    core::ptr::write_bytes(start.add(length), 0, room - length);
    js::JS_UNDEFINED
}

/// records(from, into, prefix, suffix, cursor): see lines.rs.
unsafe extern "C" fn records(context: Context, _this: Value, count: c_int, arguments: Arguments) -> Value {
    let bytes = |at| buffer(context, argument(count, arguments, at));
    let [Some(from), Some(into), Some(prefix), Some(suffix), Some(cursor)] = [0, 1, 2, 3, 4].map(bytes) else {
        return js::JS_EXCEPTION;
    };
    // SAFETY: any bits are whole numbers.
    match lines::records(from, into, (prefix, suffix), cursor.align_to_mut().1) {
        Some(()) => js::JS_UNDEFINED,
        None => js::JS_ThrowRangeError(context, c"records: outside of a buffer".as_ptr()),
    }
}
