//! Lines of a container's output as records of its log, the shim's hottest loop: ten times as long in bytecode.
//! For json-file a record is prefix, the line as the inside of a JSON string, suffix; for local (FRAMED) it is a
//! length, prefix, field 3 with the line, suffix, and the length again.

/// Bytes from which on a line is left to the caller, who cuts it.
const LONGEST: usize = 16 << 10;
const FRAMED: i32 = 1;
/// The input is one record, not lines.
const FRAGMENT: i32 = 2;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `cursor`: flags, where in `from` to go on, its end, where in `into` to go on, where to stop, records made. Ends when
/// no whole line is left, a line is too long, `into` might not hold the next record, or it is filled up to the stop.
pub fn records(from: &[u8], into: &mut [u8], around: (&[u8], &[u8]), cursor: &mut [i32]) -> Option<()> {
    let &mut [flags, ref mut at, end, ref mut filled, stop, ref mut made] = cursor else { return None };
    let (framed, fragment) = (flags & FRAMED != 0, flags & FRAGMENT != 0);
    while (*at < end || fragment && *made == 0) && *filled < stop {
        let rest = from.get(*at as usize..end as usize)?;
        let length = if fragment { rest.len() } else { find_newline(rest) };
        let mut room = into.get_mut(*filled as usize..)?;
        let most = around.0.len() + around.1.len() + if framed { length + 12 } else { length * 6 };
        if length + usize::from(!fragment) > LONGEST.min(rest.len()) || room.len() < most {
            break;
        }
        let before = room.len();
        if framed { frame(&rest[..length], around, &mut room) } else { json(&rest[..length], around, &mut room) }?;
        *filled += (before - room.len()) as i32;
        *at += length as i32 + i32::from(!fragment);
        *made += 1;
    }
    Some(())
}

/// Its place, or the length if there is none.
fn find_newline(bytes: &[u8]) -> usize {
    // SAFETY: reads at most the slice's length from its start.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast(), i32::from(b'\n'), bytes.len()) };
    if found.is_null() { bytes.len() } else { found as usize - bytes.as_ptr() as usize }
}

fn frame(line: &[u8], (prefix, suffix): (&[u8], &[u8]), to: &mut &mut [u8]) -> Option<()> {
    let length = line.len();
    let mut field = [3 << 3 | 2, length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8];
    let width = if length == 0 { 0 } else { 2 + usize::from(length >> 7 > 0) + usize::from(length >> 14 > 0) };
    field[width.max(1) - 1] &= 0x7f;
    let size = ((prefix.len() + width + length + suffix.len()) as u32).to_be_bytes();
    [&size, prefix, &field[..width], line, suffix, &size].iter().try_for_each(|part| put(to, part))
}

/// Escapes as Docker does: a tab is \\u0009. Invalid bytes become U+FFFD, each by itself.
fn json(line: &[u8], (prefix, suffix): (&[u8], &[u8]), to: &mut &mut [u8]) -> Option<()> {
    put(to, prefix)?;
    let mut rest = line;
    while let Some(byte) = rest.first().copied() {
        let clean = plain(rest);
        let taken = if byte < 0x80 { clean.max(1) } else { rest.iter().position(u8::is_ascii).unwrap_or(rest.len()) };
        match byte {
            _ if clean > 0 => put(to, &rest[..clean]),
            b'"' | b'\\' => put(to, &[b'\\', byte]),
            b'\n' => put(to, b"\\n"),
            b'\r' => put(to, b"\\r"),
            0..=0x7f => put(to, &[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), DIGITS[usize::from(byte & 15)]]),
            _ => rest[..taken].utf8_chunks().try_for_each(|chunk| foreign(&chunk, to)),
        }?;
        rest = &rest[taken..];
    }
    put(to, suffix)
}

/// None when there is no room.
fn put(to: &mut &mut [u8], bytes: &[u8]) -> Option<()> {
    to.split_off_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(())
}

/// How many bytes stand as they are. Each comparison is made, so that the compiler makes sixteen at once.
fn plain(bytes: &[u8]) -> usize {
    let marks = |b: u8| (b == b'"') | (b == b'\\') | (b == b'<') | (b == b'>') | (b == b'&');
    let special = |b: u8| (b < 0x20) | (b > 0x7f) | marks(b);
    let dirty = |block: &[u8; 16]| block.iter().fold(false, |any, byte| any | special(*byte));
    let mut clean = 0;
    while bytes[clean..].first_chunk().is_some_and(|block| !dirty(block)) {
        clean += 16;
    }
    clean + bytes[clean..].iter().take_while(|byte| !special(**byte)).count()
}

fn foreign(chunk: &core::str::Utf8Chunk, to: &mut &mut [u8]) -> Option<()> {
    for letter in chunk.valid().chars() {
        match letter {
            '\u{2028}' => put(to, b"\\u2028")?,
            '\u{2029}' => put(to, b"\\u2029")?,
            _ => put(to, letter.encode_utf8(&mut [0; 4]).as_bytes())?,
        }
    }
    chunk.invalid().iter().try_for_each(|_| put(to, b"\\ufffd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(how: i32, from: &[u8], room: usize, stop: i32) -> (Vec<u8>, [i32; 5]) {
        let mut into = vec![0; room];
        let mut cursor = [how, 0, from.len() as i32, 0, stop, 0];
        records(from, &mut into, (b"<", b">"), &mut cursor).unwrap();
        into.truncate(cursor[3] as usize);
        (into, cursor[1..].try_into().unwrap())
    }

    fn escaped(bytes: &[u8]) -> String {
        let (made, _) = run(FRAGMENT, bytes, bytes.len() * 6 + 2, i32::MAX);
        String::from_utf8(made[1..made.len() - 1].to_vec()).unwrap()
    }

    #[test]
    fn a_log_line_is_escaped_as_the_original_does() {
        let expected = "a\\\"b\\\\\\n\\u0009\\r\\u0001\\u001f\\u003c\\u0026\\u003e\\u2028x\\u2029\u{e9}\u{7f}";
        assert_eq!(escaped("a\"b\\\n\t\r\u{1}\u{1f}<&>\u{2028}x\u{2029}\u{e9}\u{7f}".as_bytes()), expected);
        assert_eq!(escaped(b"x\xff\xfey\xe2\x80"), "x\\ufffd\\ufffdy\\ufffd\\ufffd");
        for at in 0..70 {
            let text = "-".repeat(at) + "\"" + &"+".repeat(69 - at);
            assert_eq!(escaped(text.as_bytes()), text.replace('"', "\\\""));
        }
    }

    #[test]
    fn whole_lines_are_taken_and_the_rest_is_left() {
        let (made, cursor) = run(0, b"one\n\ntwo\nrest", 100, i32::MAX);
        assert_eq!((made.as_slice(), cursor), (&b"<one><><two>"[..], [9, 13, 12, i32::MAX, 3]));
        assert_eq!(run(0, b"one\ntwo\n", 100, 1).1, [4, 8, 5, 1, 1], "the stop is looked at before each record");
        assert_eq!(run(0, b"one\ntwo\n", 20, 99).1, [4, 8, 5, 99, 1], "the second might not fit");
        let long = [vec![b'x'; LONGEST], vec![b'\n']].concat();
        assert_eq!(run(0, &long, 200_000, i32::MAX).1[0], 0, "a line of the longest part is cut by the caller");
        assert_eq!(run(FRAGMENT, &long[..LONGEST], 200_000, i32::MAX).1[0], LONGEST as i32);
    }

    #[test]
    fn a_framed_record_has_its_length_on_both_sides() {
        assert_eq!(run(FRAMED, b"ab\n\n", 99, 99).0, b"\0\0\0\x06<\x1a\x02ab>\0\0\0\x06\0\0\0\x02<>\0\0\0\x02");
        let (made, _) = run(FRAMED, &[vec![b'x'; 200], vec![b'\n']].concat(), 999, 999);
        assert_eq!(made[..9], *b"\0\0\0\xcd<\x1a\xc8\x01x");
    }
}
