//! Strings across the door: UTF-8 with surrogate escapes, as base/bytes.ts defines them, so that any bytes survive.

use alloc::vec::Vec;
use rquickjs_sys as js;

/// Appends the bytes of a JavaScript string; false with a pending exception.
///
/// # Safety
/// `context` must be live; `value` a string or convertible to one.
pub unsafe fn bytes_of(context: *mut js::JSContext, value: js::JSValue, into: &mut Vec<u8>) -> bool {
    let mut length = 0;
    let units = js::JS_ToCStringLenUTF16(context, &mut length, value);
    if units.is_null() {
        return false;
    }
    encode(core::slice::from_raw_parts(units, length as usize), into);
    js::JS_FreeCStringUTF16(context, units);
    true
}

fn encode(units: &[u16], into: &mut Vec<u8>) {
    into.reserve(units.len() + 1); // At once, and a NUL: growing left libc odd blocks with every line, up to 130 kB.
    let mut buffer = [0; 4];
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(letter) => into.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes()),
            Err(lone) => match lone.unpaired_surrogate() {
                escaped @ 0xdc80..=0xdcff => into.push((escaped - 0xdc00) as u8),
                other => into.extend_from_slice(&[
                    0xe0 | (other >> 12) as u8,
                    0x80 | ((other >> 6) & 63) as u8,
                    0x80 | (other & 63) as u8,
                ]),
            },
        }
    }
}

/// A JavaScript string of the bytes.
///
/// # Safety
/// `context` must be live.
pub unsafe fn string_of(context: *mut js::JSContext, bytes: &[u8]) -> js::JSValue {
    if core::str::from_utf8(bytes).is_ok() {
        return js::JS_NewStringLen(context, bytes.as_ptr().cast(), bytes.len() as _);
    }
    let units = decode(bytes);
    js::JS_NewStringUTF16(context, units.as_ptr(), units.len() as _)
}

fn decode(bytes: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        units.extend(chunk.valid().encode_utf16());
        units.extend(chunk.invalid().iter().map(|byte| 0xdc00 + u16::from(*byte)));
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_come_back_as_they_were() {
        for bytes in [&b"plain"[..], "gr\u{fc}n \u{1f600}".as_bytes(), b"\xff\xfe/\xc3\x28", b"\xed\xa0\x80", b""] {
            let mut back = Vec::new();
            encode(&decode(bytes), &mut back);
            assert_eq!(back, bytes);
        }
    }
}
