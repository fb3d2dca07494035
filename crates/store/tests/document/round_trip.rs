//! Whatever a mapping accepts comes back unchanged; reading any row gives an answer.

use cutover_store::mapping::Cell;
use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::given::{documents, mappings, pairs};

fn cells() -> impl Strategy<Value = Cell> {
    prop_oneof![
        Just(Cell::Null),
        any::<String>().prop_map(Cell::Text),
        any::<i64>().prop_map(Cell::Int),
        "-?[0-9.eE]{1,6}|NaN".prop_map(Cell::Decimal),
        any::<bool>().prop_map(Cell::Bool),
        vec(any::<u8>(), 0..6).prop_map(Cell::Bytes),
        any::<String>().prop_map(Cell::Json),
        documents().prop_map(|document| {
            let bytes = document.encode().expect("a document");
            Cell::Json(String::from_utf8(bytes).expect("UTF-8"))
        }),
    ]
}

#[test]
fn the_draws_reach_columns_the_overflow_and_refusals() {
    let mut runner = TestRunner::deterministic();
    let (mut refused, mut in_columns, mut in_both) = (0, 0, 0);
    for _ in 0..600 {
        let draw = pairs().new_tree(&mut runner).expect("a draw").current();
        let (mapping, document) = draw;
        let Ok(row) = mapping.to_row(&document) else {
            refused += 1;
            continue;
        };
        let is_taken = |cell: &&Cell| **cell != Cell::Null;
        let taken = row.iter().take(mapping.columns().len()).filter(is_taken).count();
        in_columns += usize::from(taken > 0);
        in_both += usize::from(
            taken > 0
                && row.len() > mapping.columns().len()
                && row.last().is_some_and(|rest| *rest != Cell::Null),
        );
    }
    assert!(refused >= 60 && in_columns >= 150 && in_both >= 60, "{refused} {in_columns} {in_both}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_fits_comes_back_as_it_was((mapping, document) in pairs()) {
        match mapping.to_row(&document) {
            Ok(row) => {
                prop_assert_eq!(row.len(), mapping.names().count());
                prop_assert_eq!(mapping.from_row(&row), Ok(document.clone()));
                prop_assert_eq!(mapping.check(&[document]), vec![]);
            }
            Err(misfit) => prop_assert_eq!(mapping.check(&[document]), vec![(0, misfit)]),
        }
    }

    #[test]
    fn any_row_is_answered(mapping in mappings(), cells in vec(cells(), 6)) {
        let width = mapping.names().count();
        // A document made from a foreign row is valid and stable.
        if let Ok(document) = mapping.from_row(&cells[..width]) {
            match mapping.to_row(&document) {
                Ok(row) => prop_assert_eq!(mapping.from_row(&row), Ok(document)),
                Err(misfit) => prop_assert!(!misfit.to_string().is_empty()),
            }
        }
        prop_assert!(mapping.from_row(&vec![Cell::Null; width + 1]).is_err());
    }
}
