//! A QuickJS runtime and context with the intrinsics Gantry's programs use, on the arena allocator.

use crate::{arena, complain};
use alloc::vec::Vec;
use core::ffi::{c_char, c_void, CStr};
use rquickjs_sys as js;

/// Bytes of stack JavaScript may use; the main thread has 8 MiB.
const STACK_LIMIT: usize = 2 << 20;
/// Bytes allocated beyond what the program begins with before the first collection of cycles; then each time the heap
/// has grown by half.
pub const COLLECT_AFTER: usize = 1 << 20;


pub struct Engine {
    pub runtime: *mut js::JSRuntime,
    pub context: *mut js::JSContext,
    pub seed: Seed,
}

/// Where the engine keeps the state of Math.random: 8 bytes, followed by the 4 of the seed of Map's hashes.
pub struct Seed(*mut u64);

/// What the engine derives one from the other with (xorshift64*).
const SEED_MULTIPLIER: u64 = 0x2545_F491_4F6C_DD1D;
/// Bytes of the engine's context in which to look for the seed; it has fewer than 2,048.
const SEED_WITHIN: usize = 2048;

impl Seed {
    /// Finds it in a context just made, by the relation of the two: the structure is not public.
    unsafe fn find(context: *mut js::JSContext) -> Seed {
        let start = context as *mut u64;
        let mut found = (0..SEED_WITHIN / 8 - 1).map(|at| start.add(at)).filter(|state| {
            **state != 0 && *(state.add(1) as *const u32) == (**state).wrapping_mul(SEED_MULTIPLIER) as u32
        });
        match (found.next(), found.next()) {
            (Some(only), None) => Seed(only),
            _ => panic!("the engine's seed is not where it is expected"),
        }
    }

    /// For an image: the same in each build. The second one stays, since Maps are filled by it. It only turns an
    /// unseeded hash about, so no attacker is kept from anything by its being unknown.
    /// # Safety
    /// Before the engine ran anything.
    pub unsafe fn settle(&self) {
        self.0.write(SEED_MULTIPLIER);
        (self.0.add(1) as *mut u32).write(0);
    }

    /// For a process: from the kernel. When it has none yet (early boot), what the state already is stays.
    /// # Safety
    /// The engine lives.
    pub unsafe fn renew(&self) {
        let mut state = 0u64;
        let size = core::mem::size_of_val(&state);
        let got = libc::getrandom(&mut state as *mut u64 as *mut c_void, size, libc::GRND_NONBLOCK);
        if got == size as isize && state != 0 {
            self.0.write(state);
        }
    }
}

/// Promises rejected so far without a handler, with their reasons; the engine is single-threaded.
static mut UNHANDLED: Vec<(*mut c_void, js::JSValue)> = Vec::new();

impl Engine {
    pub fn new() -> Engine {
        // SAFETY: the allocator's functions live for ever; the context belongs to the runtime made just before.
        unsafe {
            let runtime = js::JS_NewRuntime2(arena::functions(), core::ptr::null_mut());
            js::JS_SetMaxStackSize(runtime, STACK_LIMIT as js::size_t);
            js::JS_SetGCThreshold(runtime, COLLECT_AFTER as js::size_t);
            js::JS_SetHostPromiseRejectionTracker(runtime, Some(track), core::ptr::null_mut());
            let context = js::JS_NewContextRaw(runtime);
            let seed = Seed::find(context);
            js::JS_AddIntrinsicBaseObjects(context);
            js::JS_AddIntrinsicDate(context);
            js::JS_AddIntrinsicRegExp(context);
            js::JS_AddIntrinsicJSON(context);
            js::JS_AddIntrinsicMapSet(context);
            js::JS_AddIntrinsicTypedArrays(context);
            js::JS_AddIntrinsicPromise(context);
            js::JS_AddIntrinsicBigInt(context);
            Engine { runtime, context, seed }
        }
    }

    /// Runs the top level of a program's bytecode. False after reporting an exception.
    ///
    /// # Safety
    /// `code` must be the output of this same engine version's compiler: QuickJS does not verify bytecode.
    pub unsafe fn load(&self, code: &[u8]) -> bool {
        let flags = js::JS_READ_OBJ_BYTECODE as i32;
        let function = js::JS_ReadObject(self.context, code.as_ptr(), code.len() as _, flags);
        if js::JS_IsException(function) {
            self.report(c"bytecode");
            return false;
        }
        let result = js::JS_EvalFunction(self.context, function);
        if js::JS_IsException(result) {
            self.report(c"top level");
            return false;
        }
        js::JS_FreeValue(self.context, result);
        true
    }

    /// A program's main, which the top level made a property of the global object by the program's name.
    ///
    /// # Safety
    /// After `load`.
    pub unsafe fn main(&self, program: *const c_char) -> js::JSValue {
        let global = js::JS_GetGlobalObject(self.context);
        let main = js::JS_GetPropertyStr(self.context, global, program);
        js::JS_FreeValue(self.context, global);
        main
    }

    /// Runs all pending jobs. False when one threw or left a rejection without a handler: that is a defect.
    ///
    /// # Safety
    /// Must be called on the thread that made the engine, not from inside a JavaScript call.
    pub unsafe fn drain(&self) -> bool {
        let mut context = core::ptr::null_mut();
        loop {
            match js::JS_ExecutePendingJob(self.runtime, &mut context) {
                0 => {
                    let unhandled = &*core::ptr::addr_of!(UNHANDLED);
                    for (_, reason) in unhandled {
                        report_value(self.context, c"unhandled rejection", *reason);
                    }
                    return unhandled.is_empty();
                }
                1.. => {}
                _ => {
                    self.report(c"job");
                    return false;
                }
            }
        }
    }

    /// Writes the pending exception and its stack to standard error.
    ///
    /// # Safety
    /// As for `drain`.
    pub unsafe fn report(&self, what: &CStr) {
        let exception = js::JS_GetException(self.context);
        report_value(self.context, what, exception);
        js::JS_FreeValue(self.context, exception);
    }
}

unsafe extern "C" fn track(
    context: *mut js::JSContext,
    promise: js::JSValue,
    reason: js::JSValue,
    handled: bool,
    _opaque: *mut c_void,
) {
    let unhandled = &mut *core::ptr::addr_of_mut!(UNHANDLED);
    let key = js::JS_VALUE_GET_PTR(promise);
    if !handled {
        unhandled.push((key, js::JS_DupValue(context, reason)));
    } else if let Some(at) = unhandled.iter().position(|entry| entry.0 == key) {
        js::JS_FreeValue(context, unhandled.swap_remove(at).1);
    }
}

unsafe fn report_value(context: *mut js::JSContext, what: &CStr, value: js::JSValue) {
    complain(&[b"gantry: ", what.to_bytes(), b": "]);
    print_value(context, value);
    let stack = js::JS_GetPropertyStr(context, value, c"stack".as_ptr());
    if js::JS_IsString(stack) {
        print_value(context, stack);
    }
    js::JS_FreeValue(context, stack);
}

unsafe fn print_value(context: *mut js::JSContext, value: js::JSValue) {
    let text = js::JS_ToCString(context, value);
    if !text.is_null() {
        complain(&[CStr::from_ptr(text).to_bytes(), b"\n"]);
        js::JS_FreeCString(context, text);
    }
}
