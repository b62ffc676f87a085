//! What is text, and as which bytes it is searched.

use std::borrow::Cow;

/// The bytes in which names are looked for: UTF-8, or an older encoding that agrees with it on ASCII.
/// UTF-16 is known by its byte-order mark. `None` for what is not text: a zero byte is in it.
#[must_use]
pub fn readable(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
        [0xff, 0xfe, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_be_bytes)),
        plain => Cow::Borrowed(plain),
    };
    memchr::memchr(0, &text).is_none().then_some(text)
}

fn from_utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Vec<u8> {
    let pairs = bytes.chunks_exact(2);
    let units = pairs.filter_map(|pair| pair.try_into().ok().map(&unit));
    let text: String = char::decode_utf16(units)
        .map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_say_the_encoding_and_a_zero_byte_that_it_is_no_text() {
        let utf16 = |mark: char, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let text = format!("{mark}a = \"b\" // ä𝄞");
            text.encode_utf16().flat_map(order).collect()
        };
        let expected = "a = \"b\" // ä𝄞".as_bytes();
        let little = utf16('\u{feff}', u16::to_le_bytes);
        let big = utf16('\u{feff}', u16::to_be_bytes);
        assert_eq!(readable(&little).as_deref(), Some(expected));
        assert_eq!(readable(&big).as_deref(), Some(expected));
        assert_eq!(readable(b"\xef\xbb\xbfa").as_deref(), Some(&b"a"[..]));
        assert_eq!(readable(b"\xe9t\xe9").as_deref(), Some(&b"\xe9t\xe9"[..]));
        assert_eq!(readable(b"").as_deref(), Some(&b""[..]));
        assert_eq!(readable(b"ELF\0A"), None);
        // Half of a pair, and UTF-32.
        assert_eq!(readable(b"\xff\xfea").as_deref(), Some(&b""[..]));
        assert_eq!(readable(b"\xff\xfe\0\0a\0\0\0"), None);
    }
}
