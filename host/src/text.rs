//! Strings across the door: UTF-8 with surrogate escapes, as base/bytes.ts defines them, so that any bytes survive.

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
    encode(std::slice::from_raw_parts(units, length as usize), into);
    js::JS_FreeCStringUTF16(context, units);
    true
}

fn encode(units: &[u16], into: &mut Vec<u8>) {
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
    if std::str::from_utf8(bytes).is_ok() {
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

/// Writes `bytes` as the inside of a JSON string and returns the length, or None when `into` might not hold it (six
/// bytes for each byte is the worst case). Escapes as Go's encoding/json does by default: control characters, quote,
/// backslash, <, >, &, U+2028 and U+2029; invalid bytes become U+FFFD.
pub fn escape(bytes: &[u8], into: &mut [u8]) -> Option<usize> {
    if into.len() < bytes.len() * 6 {
        return None;
    }
    let mut at = 0;
    let mut put = |part: &[u8]| {
        into[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid().as_bytes();
        let mut clean = 0;
        for (index, byte) in valid.iter().enumerate() {
            let (escaped, taken) = match *byte {
                b'"' => (&b"\\\""[..], 1),
                b'\\' => (&b"\\\\"[..], 1),
                b'\n' => (&b"\\n"[..], 1),
                b'\r' => (&b"\\r"[..], 1),
                b'\t' => (&b"\\t"[..], 1),
                b'<' => (&b"\\u003c"[..], 1),
                b'>' => (&b"\\u003e"[..], 1),
                b'&' => (&b"\\u0026"[..], 1),
                0xe2 if valid[index..].starts_with(b"\xe2\x80\xa8") => (&b"\\u2028"[..], 3),
                0xe2 if valid[index..].starts_with(b"\xe2\x80\xa9") => (&b"\\u2029"[..], 3),
                0..=0x1f => (&CONTROL[usize::from(*byte)][..], 1),
                _ => continue,
            };
            put(&valid[clean..index]);
            put(escaped);
            clean = index + taken;
        }
        put(&valid[clean..]);
        for _ in chunk.invalid() {
            put(b"\\ufffd");
        }
    }
    Some(at)
}

const CONTROL: [[u8; 6]; 32] = control();

const fn control() -> [[u8; 6]; 32] {
    let mut table = [*b"\\u0000"; 32];
    let mut at = 0;
    while at < 32 {
        table[at][4] = b'0' + (at / 16) as u8;
        table[at][5] = b"0123456789abcdef"[at % 16];
        at += 1;
    }
    table
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

    #[test]
    fn a_log_line_is_escaped_as_the_original_does() {
        let mut into = [0; 256];
        let length = escape("a\"b\\\n\t\u{1}<&>\u{2028}\u{e9}".as_bytes(), &mut into).unwrap();
        let expected = "a\\\"b\\\\\\n\\t\\u0001\\u003c\\u0026\\u003e\\u2028\u{e9}";
        assert_eq!(std::str::from_utf8(&into[..length]).unwrap(), expected);
        let length = escape(b"x\xff\xfey", &mut into).unwrap();
        assert_eq!(&into[..length], b"x\\ufffd\\ufffdy");
        assert!(escape(b"abc", &mut into[..17]).is_none());
    }
}
