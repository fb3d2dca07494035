//! Values as literals of a statement.

use base64::{Engine, engine::general_purpose::STANDARD};

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

/// What some SQL mode or client gives another meaning in quotes.
const SPECIAL: [u8; 3] = [b'\\', 0, 0x1a];
/// What stands for those where a value has none of it.
const STAND_INS: &[u8] = b"~|^`#@$?!;\x01\x02\x03\x04\x05\x06";

/// Bytes in quotes, in which every SQL mode reads the same. The server puts special bytes in place of others; what is not
/// UTF-8 is in base64, because a statement is text.
fn string(text: &mut Vec<u8>, introducer: &[u8], bytes: &[u8]) {
    if str::from_utf8(bytes).is_err() {
        text.extend_from_slice(b"FROM_BASE64('");
        text.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        text.extend_from_slice(b"')");
        return;
    }
    let special: Vec<u8> = SPECIAL.into_iter().filter(|it| bytes.contains(it)).collect();
    let free = STAND_INS.iter().filter(|it| !special.is_empty() && !bytes.contains(it));
    let replaced: Vec<(u8, u8)> = special.iter().copied().zip(free.copied()).collect();
    if replaced.len() < special.len() {
        text.extend_from_slice(introducer);
        text.push(b' ');
        literal(text, bytes);
        return;
    }
    text.extend(b"REPLACE(".repeat(replaced.len()));
    quoted(
        text,
        introducer,
        bytes.iter().map(|byte| {
            replaced.iter().find(|(special, _)| special == byte).map_or(*byte, |(_, stand_in)| *stand_in)
        }),
    );
    for (special, stand_in) in replaced {
        text.push(b',');
        quoted(text, introducer, std::iter::once(stand_in));
        text.push(b',');
        text.extend_from_slice(introducer);
        text.push(b' ');
        literal(text, &[special]);
        text.push(b')');
    }
}

fn quoted(text: &mut Vec<u8>, introducer: &[u8], bytes: impl ExactSizeIterator<Item = u8>) {
    text.extend_from_slice(introducer);
    text.reserve(bytes.len() + 3);
    text.extend_from_slice(b" '");
    for byte in bytes {
        text.push(byte);
        if byte == b'\'' {
            text.push(byte);
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
        assert_eq!(text("\\'; DROP~"), "REPLACE(_utf8mb4 '|''; DROP~',_utf8mb4 '|',_utf8mb4 x'5c')");
        assert_eq!(
            text("\0\\"),
            "REPLACE(REPLACE(_utf8mb4 '|~',_utf8mb4 '~',_utf8mb4 x'5c'),_utf8mb4 '|',_utf8mb4 x'00')"
        );
        let all: String = STAND_INS.iter().copied().map(char::from).collect();
        assert!(text(&format!("{all}\\")).starts_with("_utf8mb4 x'7e7c"));
        assert_eq!(text(""), "_utf8mb4 ''");
        assert_eq!(shown(&Cell::Bytes(b"{\"n\":{\"N\":\"1\"}}".to_vec())), "_binary '{\"n\":{\"N\":\"1\"}}'");
        assert_eq!(shown(&Cell::Bytes(vec![0xff, b'\''])), "FROM_BASE64('/yc=')");
    }

    #[test]
    fn binary_takes_a_third_more_and_json_hardly_more_than_it_has() {
        let binary: Vec<u8> =
            (0..30_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(shown(&Cell::Bytes(binary)).len(), 40_000 + "FROM_BASE64('')".len());
        let json =
            format!(r#"{{"note":{{"S":"{}"}}}}"#, r#"a \"quote\" and a \n "#.repeat(1000)).into_bytes();
        assert!(shown(&Cell::Bytes(json.clone())).len() < json.len() + 100);
    }
}
