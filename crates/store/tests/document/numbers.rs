//! Numbers: one text, exact order, DynamoDB's limits.

use std::cmp::Ordering;

use cutover_store::document::{Attribute, Number, NumberError};
use proptest::prelude::*;

use super::given::{document, number, numbers};

#[test]
fn each_number_has_one_text() {
    let cases = [
        ("1", &["1", "1.0", "1.00", "1e0", "+1", "01", "10e-1", "0.1E1", "1."][..]),
        ("0", &["0", "-0", "0.00", "0e999999999999999999999", "-0e5", ".0"]),
        ("-12.5", &["-12.5", "-12.50", "-125e-1", "-1.25E+1"]),
        ("0.05", &["0.05", "5e-2", ".05", "0.0500"]),
        ("1200", &["1200", "12e2", "1.2E3", "1200.0"]),
    ];
    for (canonical, texts) in cases {
        for text in texts {
            assert_eq!(number(text).as_str(), canonical, "{text}");
        }
    }
}

#[test]
fn the_limits_are_dynamodbs() {
    let nines = "9".repeat(38);
    for fine in
        [nines.clone(), format!("{nines}e87"), format!("-{nines}e87"), "1e-130".into(), "1e125".into()]
    {
        assert_eq!(number(number(&fine).as_str()), number(&fine), "{fine}");
    }
    // A zero at the end does not count towards the 38.
    assert_eq!(number(&format!("{nines}0")).as_str(), format!("{nines}0"));
    let refused = [
        (format!("{nines}9"), NumberError::Digits(39)),
        (format!("0.{nines}1"), NumberError::Digits(39)),
        ("1e126".into(), NumberError::TooLarge),
        ("-1e126".into(), NumberError::TooLarge),
        ("1e99999999999999999999999".into(), NumberError::TooLarge),
        ("9e-131".into(), NumberError::TooSmall),
        ("1e-99999999999999999999999".into(), NumberError::TooSmall),
    ];
    for (text, error) in refused {
        assert_eq!(text.parse::<Number>(), Err(error), "{text}");
    }
    let none =
        ["", "-", ".", "+-1", "--1", "1e", "1e+", "e5", "1.2.3", "0x1", "NaN", "inf", " 1", "1 ", "1_0", "١"];
    for text in none {
        assert_eq!(text.parse::<Number>(), Err(NumberError::Malformed), "{text:?}");
    }
}

#[test]
fn numbers_are_ordered_by_size() {
    let ascending =
        ["-1e125", "-10", "-9.5", "-9", "-0.12", "-0.1", "0", "1e-130", "0.1", "0.12", "9", "10", "1e125"];
    for (index, one) in ascending.iter().enumerate() {
        for (other_index, other) in ascending.iter().enumerate() {
            assert_eq!(number(one).cmp(&number(other)), index.cmp(&other_index), "{one} and {other}");
        }
    }
}

#[test]
fn a_number_has_the_bytes_that_dynamodb_counts() {
    // As DynamoDB Local counts, and AWS where it was measured.
    let digits = "1234567890123456789012345678901234567";
    let cases = [
        ("0", 1),
        ("7", 2),
        ("-7", 3),
        ("42", 2),
        ("427", 3),
        ("4200", 2),
        ("420", 3),
        ("100.5", 4),
        ("0.07", 2),
        ("0.072", 3),
        ("0.72", 2),
        ("7.2", 3),
        ("1e125", 2),
        ("1e-130", 2),
        ("9223372036854775807", 11),
        (&format!("{digits}8"), 20),
        (&format!("-{digits}8"), 21),
        (&format!("-{digits}.8"), 21),
    ];
    for (text, bytes) in cases {
        let item = document([("n", Attribute::N(number(text)))]);
        assert_eq!(item.item_bytes(), "n".len() + bytes, "{text}");
    }
}

proptest! {
    #[test]
    fn a_canonical_text_is_its_own(number in numbers()) {
        prop_assert_eq!(number.as_str().parse::<Number>(), Ok(number.clone()));
    }

    #[test]
    fn order_agrees_with_whole_numbers(one: i64, other: i64, zeros in 0_i32..6) {
        let scaled = |whole: i64| number(&format!("{whole}e-{zeros}"));
        prop_assert_eq!(scaled(one).cmp(&scaled(other)), one.cmp(&other));
        prop_assert_eq!(scaled(one) == scaled(other), one.cmp(&other) == Ordering::Equal);
    }

    #[test]
    fn any_text_is_answered(text: String) {
        if let Ok(number) = text.parse::<Number>() {
            prop_assert!(number.as_str().len() < 175);
        }
    }
}
