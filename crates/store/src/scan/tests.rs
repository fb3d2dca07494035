use super::*;
use crate::Version;

fn found(tenant: &[u8], key: &[u8]) -> Found {
    let record = Record { version: Version(1), value: None };
    Found { tenant: tenant.to_vec(), key: key.to_vec(), record: Ok(record) }
}

#[test]
fn a_cursor_holds_any_place() {
    for (tenant, key) in [(&b"t"[..], &b"k"[..]), (b"", b""), (b"a\0b", b"\0"), (b"\xff", b"\xfe")] {
        assert_eq!(Cursor::after(tenant, key).place(), Ok((tenant, key)));
    }
    assert_eq!(Cursor::after(b"t", b"k").texts(), Ok(("t", "k")));
    for wrong in [Cursor(Vec::new()), Cursor(b"t\0k".to_vec()), Cursor(vec![0, 0, 0, 9, 1])] {
        assert!(wrong.place().is_err(), "{wrong:?}");
    }
    assert!(Cursor::after(b"\xff", b"k").texts().is_err());
}

#[test]
fn a_shared_cursor_is_a_text_and_never_further_on() {
    let cases: [(&[u8], &[u8], &str, &str); 6] = [
        (b"t", b"k", "t", "k"),
        (b"t", b"k\xff9", "t", "k"),
        (b"t", b"k\0a", "t", "k"),
        (b"a\xffb", b"k", "a", ""),
        (b"a\0", b"k", "a", ""),
        (b"", b"", "", ""),
    ];
    for (tenant, key, of, at) in cases {
        let shared = Cursor::after(tenant, key).shared().expect("a place");
        assert_eq!(shared.texts(), Ok((of, at)));
        assert_eq!(shared.shared().as_ref(), Ok(&shared), "once is enough");
        assert!((of.as_bytes(), at.as_bytes()) <= (tenant, key));
        let id = |key: &str| Id { tenant: of.to_owned(), key: key.to_owned() };
        assert_eq!(shared.is_past(&id(at)), Ok(true));
        assert_eq!(shared.is_past(&id(&format!("{at}0"))), Ok(false));
    }
}

#[test]
fn what_has_no_id_keeps_its_place() {
    let cases = [
        (found(b"a\xff", b"k"), "a\\xff", "k", "tenant: it is not UTF-8"),
        (found(b"t", b"\xc3("), "t", "\\xc3(", "key: it is not UTF-8"),
        (found(b"a\nb", b"k"), "a\\nb", "k", "tenant: "),
        (found(b"", b"k"), "", "k", "tenant: "),
        (found(b"t", b"a\0"), "t", "a\\0", "key: key has a NUL character"),
    ];
    for (found, tenant, key, error) in cases {
        let mut gathered = Gathered::default();
        let place = (found.tenant.clone(), found.key.clone());
        gathered.take(found);
        assert!(gathered.is_full(0), "it counts");
        let page = gathered.end(true).expect("a place");
        let after = page.next.as_ref().expect("more");
        assert_eq!(after.place(), Ok((place.0.as_slice(), place.1.as_slice())));
        let [unreadable] = page.unreadable.as_slice() else { panic!("{page:?}") };
        assert_eq!((unreadable.tenant.as_str(), unreadable.key.as_str()), (tenant, key));
        let told = unreadable.error.to_string();
        assert!(told.starts_with(error) && told.contains("correct or remove"), "{told}");
    }
    assert!(found(b"t", b"k").read().is_ok());
}

#[test]
fn a_page_with_nothing_to_show_has_a_place_to_continue_after() {
    let mut gathered = Gathered::default();
    gathered.pass_place(b"t".to_vec(), b"k".to_vec());
    let page = gathered.end(true).expect("a place");
    assert_eq!(page, Page { next: Some(Cursor::after(b"t", b"k")), ..Page::default() });
    assert_eq!(Gathered::default().end(false), Ok(Page::default()));
    let nowhere = Gathered::default().end(true).expect_err("it would seem to be the last page");
    assert!(nowhere.to_string().contains("ended nowhere"), "{nowhere}");
}

/// Stores that applications write may take the scope for another one.
#[test]
fn a_list_is_only_of_what_was_asked_for() {
    let record = |tenant: &str, key: &str| {
        let id = Id { tenant: tenant.to_owned(), key: key.to_owned() };
        (id, Record { version: Version(1), value: None })
    };
    let range = KeyRange::prefix("b").after("b3");
    let listed = |records: &[(&str, &str)], next: Option<&str>| {
        let records = records.iter().map(|(tenant, key)| record(tenant, key)).collect();
        let next = next.map(|key| Cursor::after(b"t", key.as_bytes()));
        Listed::of(Page { records, next, ..Page::default() }, "t", &range, 2)
    };
    let all = Listed { records: vec![record("t", "b4"), record("t", "b5")], next: Some("b5".to_owned()) };
    assert_eq!(listed(&[("t", "b4"), ("t", "b5"), ("t", "b6")], None), Ok(all));
    for end in ["b4", "c"] {
        let empty = Listed { records: Vec::new(), next: Some(end.to_owned()) };
        assert_eq!(listed(&[], Some(end)), Ok(empty), "an end need not be a record, nor in the range");
    }
    let beside =
        "scan: the store returned a record that is not in the scope: does it support Scope::Keys? (key";
    for (wrong, next, told) in [
        (&[("t", "b4"), ("u", "b5")][..], None, format!("{beside} \"b5\" of tenant \"u\")")),
        (&[("t", "b3"), ("t", "b4")][..], None, format!("{beside} \"b3\" of tenant \"t\")")),
        (&[("t", "c")][..], None, format!("{beside} \"c\" of tenant \"t\")")),
        (&[("t", "b5"), ("t", "b4")][..], None, "key: the keys came out of order".to_owned()),
        (&[][..], Some("b3"), "scan: a page ended at key \"b3\", and the range begins at \"b3\"".to_owned()),
        (&[][..], Some("b"), "scan: a page ended at key \"b\"".to_owned()),
    ] {
        let error = listed(wrong, next).expect_err("refused").to_string();
        assert!(error.starts_with(&told), "{error}");
    }
    let error = unreadable("version", "it is no number".to_owned());
    let foreign = Unreadable { tenant: "t".to_owned(), key: "b4".to_owned(), error };
    let page = Page { unreadable: vec![foreign], ..Page::default() };
    let error = Listed::of(page, "t", &range, 2).expect_err("unreadable").to_string();
    assert_eq!(error, "version: it is no number (key \"b4\" of tenant \"t\")");
}
