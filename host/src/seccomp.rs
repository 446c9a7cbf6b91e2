//! The seccomp compiler: hands a flat description to libseccomp and gives back the BPF program. Which rules there are
//! and why is container/'s knowledge.

use crate::{door, text};
use alloc::{ffi::CString, vec, vec::Vec};
use core::ffi::{c_char, c_int, CStr};
use libseccomp_sys as lib;
use rquickjs_sys as js;

/// Bytes of one argument comparison in the flat form: u32 index, u32 operator, u64 value, u64 second value.
const COMPARISON: usize = 24;
/// Bytes of one rule's head: u32 action, u32 index into the names, u32 number of comparisons, u32 unused.
const HEAD: usize = 16;
const MAXIMUM_COMPARISONS: usize = 6;

/// Rules from which on libseccomp's binary tree is asked for: up to 2.5.4 it goes wrong without any rule.
const TREE_RULES: usize = 32;

/// seccomp(defaultAction, architectures, names, rules, unknownAction): the program as a Uint8Array, or a negative
/// errno.
/// `architectures` is an array of libseccomp's architecture names, `names` of system calls, `rules` the flat form
/// (see above, native byte order). A name unknown on an architecture is skipped there, as the original does.
/// `unknownAction` is for numbers above all that `names` mean, which are newer than whoever wrote the rules; -1: none.
///
/// # Safety
/// Called by the engine with live values.
pub unsafe extern "C" fn compile(
    context: *mut js::JSContext,
    _this: js::JSValue,
    count: c_int,
    arguments: *mut js::JSValue,
) -> js::JSValue {
    if count < 5 {
        return js::JS_ThrowTypeError(context, c"seccomp: five arguments are needed".as_ptr());
    }
    let (mut action, mut unknown) = (0i64, 0i64);
    if js::JS_ToInt64(context, &mut action, *arguments) != 0
        || js::JS_ToInt64(context, &mut unknown, *arguments.add(4)) != 0
    {
        return js::JS_EXCEPTION;
    }
    let architectures = list(context, *arguments.add(1));
    let names = list(context, *arguments.add(2));
    let Some(rules) = door::buffer(context, *arguments.add(3)) else { return js::JS_EXCEPTION };
    let filter = lib::seccomp_init(action as u32);
    if filter.is_null() {
        return js::JS_NewNumber(context, f64::from(-libc::EINVAL));
    }
    let result = fill(filter, &architectures, &names, rules).and_then(|()| export(filter));
    lib::seccomp_release(filter);
    match result {
        Ok(mut program) => {
            if unknown >= 0 {
                program.splice(0..0, refuse_unknown(unknown as u32, &architectures, &names));
            }
            js::JS_NewUint8ArrayCopy(context, program.as_ptr(), program.len() as _)
        }
        Err(code) => js::JS_NewNumber(context, f64::from(code)),
    }
}

unsafe fn list(context: *mut js::JSContext, array: js::JSValue) -> Vec<CString> {
    let mut length = 0i64;
    js::JS_GetLength(context, array, &mut length);
    let mut entries = Vec::new();
    for at in 0..length as u32 {
        let value = js::JS_GetPropertyUint32(context, array, at);
        let mut bytes = Vec::new();
        text::bytes_of(context, value, &mut bytes);
        js::JS_FreeValue(context, value);
        entries.push(CString::new(bytes).unwrap_or_default());
    }
    entries
}

unsafe fn fill(filter: lib::scmp_filter_ctx, archs: &[CString], names: &[CString], rules: &[u8]) -> Result<(), i32> {
    // A system call of an architecture that the filter does not know is killed by default; the original leaves that.
    for arch in archs {
        let token = lib::seccomp_arch_resolve_name(arch.as_ptr() as *const c_char);
        let added = if token == 0 { -libc::EINVAL } else { lib::seccomp_arch_add(filter, token) };
        if added != 0 && added != -libc::EEXIST {
            return Err(added);
        }
    }
    check(lib::seccomp_attr_set(filter, lib::scmp_filter_attr::SCMP_FLTATR_CTL_NNP, 0))?;
    let mut at = 0;
    let mut added_rules = 0;
    while at + HEAD <= rules.len() {
        let [action, name, comparisons] = [0, 4, 8].map(|offset| word(rules, at + offset));
        at += HEAD;
        let mut compared = Vec::with_capacity(MAXIMUM_COMPARISONS);
        for _ in 0..(comparisons as usize).min(MAXIMUM_COMPARISONS) {
            compared.push(comparison(rules.get(at..at + COMPARISON).ok_or(-libc::EINVAL)?));
            at += COMPARISON;
        }
        let name = names.get(name as usize).ok_or(-libc::EINVAL)?;
        let number = lib::seccomp_syscall_resolve_name(name.as_ptr());
        if number == lib::__NR_SCMP_ERROR {
            continue;
        }
        let added = lib::seccomp_rule_add_array(filter, action, number, compared.len() as u32, compared.as_ptr());
        // EACCES: the rule's action is the default action; then it says nothing new.
        if added != 0 && added != -libc::EACCES {
            return Err(added);
        }
        added_rules += 1;
    }
    if added_rules > TREE_RULES {
        check(lib::seccomp_attr_set(filter, lib::scmp_filter_attr::SCMP_FLTATR_CTL_OPTIMIZE, 2))?;
    }
    Ok(())
}

fn check(code: c_int) -> Result<(), i32> {
    if code == 0 { Ok(()) } else { Err(code) }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn comparison(bytes: &[u8]) -> lib::scmp_arg_cmp {
    let wide = |at: usize| u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32;
    let op = match word(bytes, 4) {
        1 => lib::scmp_compare::SCMP_CMP_NE,
        2 => lib::scmp_compare::SCMP_CMP_LT,
        3 => lib::scmp_compare::SCMP_CMP_LE,
        4 => lib::scmp_compare::SCMP_CMP_EQ,
        5 => lib::scmp_compare::SCMP_CMP_GE,
        6 => lib::scmp_compare::SCMP_CMP_GT,
        _ => lib::scmp_compare::SCMP_CMP_MASKED_EQ,
    };
    lib::scmp_arg_cmp { arg: word(bytes, 0), op, datum_a: wide(8), datum_b: wide(16) }
}

/// libseccomp 2.5 exports only into a file descriptor.
unsafe fn export(filter: lib::scmp_filter_ctx) -> Result<Vec<u8>, i32> {
    let fd = libc::memfd_create(c"seccomp".as_ptr(), libc::MFD_CLOEXEC);
    if fd < 0 {
        return Err(-libc::EMFILE);
    }
    let exported = lib::seccomp_export_bpf(filter, fd);
    let size = libc::lseek(fd, 0, libc::SEEK_END).max(0) as usize;
    let mut program = vec![0u8; size];
    let got = libc::pread(fd, program.as_mut_ptr().cast(), size, 0);
    libc::close(fd);
    check(exported)?;
    if got as usize == size { Ok(program) } else { Err(-libc::EIO) }
}

/// Ten instructions before the program: a number above the highest that the rules name on the caller's architecture
/// gets `action`. An architecture that the filter does not list is left to the filter.
unsafe fn refuse_unknown(action: u32, archs: &[CString], names: &[CString]) -> Vec<u8> {
    let listed = |name: &CStr| archs.iter().any(|arch| arch.as_c_str() == name);
    let highest = |token: u32, known: bool| {
        let numbers = names.iter().map(|name| lib::seccomp_syscall_resolve_name_arch(token, name.as_ptr()));
        // Negative ones are libseccomp's own, for calls that this architecture does not have.
        numbers.filter(|number| known && *number > 0).max().map_or(u32::MAX, |number| number as u32)
    };
    let native = highest(lib::SCMP_ARCH_X86_64, true);
    let x32 = highest(lib::SCMP_ARCH_X32, listed(c"x32"));
    let x86 = highest(lib::SCMP_ARCH_X86, listed(c"x86"));
    const X32_BIT: u32 = 1 << 30;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let jump = |test: u32| (libc::BPF_JMP | test | libc::BPF_K) as u16;
    // (code, jump if true, jump if false, operand); struct seccomp_data has the number at 0 and the architecture at 4.
    let program: [(u16, u8, u8, u32); 10] = [
        (load, 0, 0, 4),
        (jump(libc::BPF_JEQ), 5, 0, lib::SCMP_ARCH_X86),
        (jump(libc::BPF_JEQ), 0, 7, lib::SCMP_ARCH_X86_64),
        (load, 0, 0, 0),
        (jump(libc::BPF_JSET), 1, 0, X32_BIT),
        (jump(libc::BPF_JGT), 3, 4, native),
        (jump(libc::BPF_JGT), 2, 3, if x32 == u32::MAX { x32 } else { x32 | X32_BIT }),
        (load, 0, 0, 0),
        (jump(libc::BPF_JGT), 0, 1, x86),
        ((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, action),
    ];
    let bytes = |(code, yes, no, operand): (u16, u8, u8, u32)| {
        let [a, b] = code.to_ne_bytes();
        let [e, f, g, h] = operand.to_ne_bytes();
        [a, b, yes, no, e, f, g, h]
    };
    program.into_iter().flat_map(bytes).collect()
}
