//! Values as literals of a statement.

use super::super::mapping::Cell;

/// The value as SQL. It names its character set, so that a column with another one does not store other characters.
pub(super) fn value(text: &mut Vec<u8>, cell: &Cell) {
    match cell {
        // Rows are no column's.
        Cell::Null | Cell::Rows(_) => text.extend_from_slice(b"NULL"),
        Cell::Text(it) | Cell::Json(it) => string(text, b"_utf8mb4", it.as_bytes()),
        Cell::Int(it) => text.extend_from_slice(it.to_string().as_bytes()),
        // Digits, a sign, a point, an exponent.
        Cell::Decimal(it) => text.extend_from_slice(it.as_bytes()),
        Cell::Bool(it) => text.extend_from_slice(if *it { b"1" } else { b"0" }),
        Cell::Bytes(it) => string(text, b"_binary", it),
    }
}

/// Bytes in quotes, which is half as long as in hexadecimal, if no SQL mode gives any of them another meaning there. A
/// statement is text, so they also have to be UTF-8.
fn string(text: &mut Vec<u8>, introducer: &[u8], bytes: &[u8]) {
    text.extend_from_slice(introducer);
    text.push(b' ');
    if bytes.iter().any(|byte| matches!(byte, b'\\' | 0 | 0x1a)) || str::from_utf8(bytes).is_err() {
        literal(text, bytes);
        return;
    }
    text.reserve(bytes.len() + 2);
    text.push(b'\'');
    for byte in bytes {
        text.push(*byte);
        if *byte == b'\'' {
            text.push(b'\'');
        }
    }
    text.push(b'\'');
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    literal(&mut text, bytes);
    String::from_utf8_lossy(&text).into_owned()
}

/// Bytes as a hexadecimal literal, in which nothing can be mistaken for SQL.
pub(super) fn literal(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.reserve(bytes.len() * 2 + 3);
    text.extend_from_slice(b"x'");
    for byte in bytes {
        text.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cell: &Cell) -> String {
        let mut text = Vec::new();
        value(&mut text, cell);
        String::from_utf8(text).expect("a statement is text")
    }

    #[test]
    fn what_could_end_a_literal_or_escape_from_it_does_not() {
        let text = |it: &str| shown(&Cell::Text(it.to_owned()));
        assert_eq!(text("plain \u{e4} \"json\" % _ -- \n"), "_utf8mb4 'plain \u{e4} \"json\" % _ -- \n'");
        assert_eq!(text("it's 'q'x"), "_utf8mb4 'it''s ''q''x'");
        assert_eq!(text("\\'; DROP"), "_utf8mb4 x'5c273b2044524f50'");
        assert_eq!(text("\0"), "_utf8mb4 x'00'");
        assert_eq!(text(""), "_utf8mb4 ''");
        assert_eq!(shown(&Cell::Bytes(b"{\"n\":{\"N\":\"1\"}}".to_vec())), "_binary '{\"n\":{\"N\":\"1\"}}'");
        assert_eq!(shown(&Cell::Bytes(vec![0xff, b'\''])), "_binary x'ff27'");
    }
}
