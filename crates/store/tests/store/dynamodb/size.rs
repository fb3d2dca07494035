//! The item limit as computed without a server, compared with what a server accepts.

use cutover_store::document::Document;

use super::*;

/// A document of these attributes and `pad`.
fn padded(attributes: &str, pad: usize) -> Record {
    let json = format!(r#"{{{attributes}"z":{{"S":"{}"}}}}"#, "x".repeat(pad));
    let document = Document::decode(json.as_bytes()).expect("typed JSON");
    Record { version: Version::MAX, value: Some(document.encode().expect("no empty set")) }
}

#[tokio::test]
async fn the_largest_item_that_fits_is_accepted_and_a_byte_more_is_not() {
    let Some(url) = server() else { return };
    let options = fields("customer\u{e4}", "order", "v");
    let fields = options.fields.clone();
    let store = DynamoDbStore::create(&url, &table(), options).await.expect("created");
    let numbers = (0..400).map(|n| {
        let (sign, point) = (["", "-"][n % 2], n % 7);
        format!(r#"{{"N":"{sign}{n}{}.{}5"}}"#, "1".repeat(n % 19), "9".repeat(point))
    });
    let numbers = format!(r#""a":{{"L":[{}]}},"#, numbers.collect::<Vec<_>>().join(","));
    for (key, attributes) in [
        ("plain", ""),
        ("text", r#""a\u00e4":{"S":"\ud83d\ude80\u00e4\u0000"},"b":{"B":"AAEC/w=="},"#),
        ("small", r#""a":{"BOOL":true},"b":{"NULL":true},"c":{"N":"0"},"d":{"S":""},"#),
        ("sets", r#""a":{"SS":["","xy"]},"b":{"NS":["-1.5","100","2"]},"c":{"BS":["AA==","AAEC/w=="]},"#),
        ("nested", r#""a":{"L":[{"M":{"b":{"L":[]},"c":{"M":{}}}},{"NULL":true},{"S":"x"}]},"#),
        ("numbers", &numbers),
    ] {
        let id = Id::new("\u{e4}", key).expect("valid");
        let fits = |pad: usize| fields.fit_item(&id, &padded(attributes, pad));
        // Between nothing and too much.
        let (mut most, mut more) = (0_usize, 400 << 10);
        while more - most > 1 {
            let pad = most.midpoint(more);
            *(if fits(pad).is_ok() { &mut most } else { &mut more }) = pad;
        }
        let put = async |pad: usize| store.put_if_newer(&id, &padded(attributes, pad)).await;
        let error = put(more).await.expect_err(key).to_string();
        assert!(error.starts_with("value: 400 KB is the most"), "{error}");
        assert_eq!(put(most).await, Ok(Put::Applied), "{key}");
        let error = fits(more).expect_err(key).to_string();
        assert!(error.starts_with("value: an item of 409601 bytes"), "{error}");
    }
}
