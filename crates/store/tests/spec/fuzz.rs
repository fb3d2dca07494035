//! Whatever the text is, the answer is a spec or an error in one line that names a place in it.

use cutover_store::spec::{Spec, SpecError, StoreUrl};
use proptest::prelude::*;

use super::example;

fn answered(text: &str) -> Result<(), TestCaseError> {
    match text.parse::<Spec>() {
        Ok(spec) => prop_assert_eq!(spec.fingerprint().len(), 32),
        Err(error) => {
            let (SpecError::Unknown { at, .. } | SpecError::Toml { at, .. } | SpecError::Invalid { at, .. }) =
                &error
            else {
                return Err(TestCaseError::fail(format!("no place: {error}")));
            };
            prop_assert!(at.line >= 1 && at.line <= text.matches('\n').count() + 1, "{error}\n{text}");
            prop_assert!(at.column >= 1 && at.column <= text.chars().count() + 1, "{error}\n{text}");
            prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_answered(text: String) {
        answered(&text)?;
    }

    #[test]
    fn a_damaged_example_is_answered(from: prop::sample::Index, length in 0_usize..40, piece in "\\PC{0,8}|[\n\"\\[\\]=.#'0-9]{0,6}") {
        let text = example();
        let from = from.index(text.len());
        let to = (from + length).min(text.len());
        answered(&format!("{}{piece}{}", &text[..from], &text[to..]))?;
    }

    #[test]
    fn any_value_is_answered(key in "[a-z_]{1,12}|url|table|tenant|overflow", value in ".{0,30}") {
        let text = example();
        let value = value.replace(['\\', '"'], "");
        answered(&text.replacen("password_env =", &format!("{key} = \"{value}\"\n#"), 1))?;
    }

    #[test]
    fn any_url_is_answered(scheme in "sqlite:|mysql://|postgres://|dynamodb://|", rest in ".{0,30}|[a-z@:/?=&%#0-9]{0,30}") {
        if let Ok((url, _)) = StoreUrl::parse(&format!("{scheme}{rest}")) {
            prop_assert!(!url.to_string().is_empty());
        }
    }
}
