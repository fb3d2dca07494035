//! Files of pins: CSV by whoever.

use cutover::cli::parse_pins;
use cutover_core::{routing::check_tenant, wire::rung_from_wire};

use crate::{Target, plan::line_of};

pub(crate) const TARGET: Target = Target {
    name: "pins",
    check,
    seeds,
    words: &[
        "tenant,stage\n",
        "acme,dual\n",
        "target-first",
        "\"a \"\"b\"\",c\"",
        "\r\n",
        "\u{feff}",
        "\n\n",
    ],
};

fn check(bytes: &[u8]) {
    let parsed = parse_pins(bytes);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    match &parsed {
        Ok(pins) => {
            let mut out = csv::Writer::from_writer(Vec::new());
            for pin in pins {
                assert_eq!(check_tenant(&pin.tenant), Ok(()));
                let rung = rung_from_wire(pin.rung).expect("a known rung");
                out.write_record([pin.tenant.as_str(), rung.name()]).expect("memory takes it");
            }
            let written = out.into_inner().expect("memory takes it");
            assert_eq!(parse_pins(&written).as_ref(), Ok(pins), "what was read is read again");
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            for mistake in mistakes {
                let line = line_of(mistake).unwrap_or_else(|| panic!("no line: {mistake}"));
                assert!((1..=lines).contains(&line), "there are {lines} lines: {mistake}");
                assert!(!mistake.contains('\n'), "several lines: {mistake:?}");
            }
        }
    }
    // Whatever a tenant is called, a file can have it.
    if let Ok(tenant) = str::from_utf8(bytes)
        && check_tenant(tenant).is_ok()
        && tenant.trim() == tenant
    {
        let quoted = format!("tenant,stage\r\n\"{}\",dual\r\n", tenant.replace('"', "\"\""));
        let pins = parse_pins(quoted.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        assert!(matches!(&pins[..], [pin] if pin.tenant == tenant), "{tenant:?} became {pins:?}");
    }
    if !bytes.starts_with(b"\xef\xbb\xbf") {
        let later = parse_pins(&[b"\n", bytes].concat());
        match (parsed, later) {
            (Ok(pins), Ok(later)) => assert_eq!(pins, later, "a blank line changes nothing"),
            (Err(mistakes), Err(later)) => {
                let lines = |mistakes: Vec<String>| mistakes.iter().map(|it| line_of(it)).collect::<Vec<_>>();
                let moved: Vec<_> =
                    lines(mistakes).into_iter().map(|line| line.map(|line| line + 1)).collect();
                assert_eq!(moved, lines(later), "a blank line before it moves every mistake by one");
            }
            (one, other) => panic!("a blank line changes {one:?} into {other:?}"),
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let texts: &[&[u8]] = &[
        b"tenant,stage\nacme,dual\nglobex,target-first\n",
        b"acme,source-only\r\n\r\n\"a \"\"b\"\", c\",target-only\r\n",
        b"\xef\xbb\xbfTenant, Stage\nacme,hold\nacme,dual\n",
        b"acme;dual\n\"open,dual\nacme,duall\n a,dual\n\xff,dual\nacme,dual,x\n",
    ];
    let tenants: &[&[u8]] = &[b"a \"b\"", b"\"", "\u{feff}x".as_bytes()];
    texts.iter().chain(tenants).map(|text| text.to_vec()).collect()
}
