//! A password reaches the driver and nobody else.

use cutover_store::spec::{Secret, Spec};

use super::{SMALL, read, refusal};

/// The environment of a test.
fn environment(name: &str) -> Option<String> {
    (name == "TARGET").then(|| "hun%74er/2@:#?".to_owned())
}

#[test]
fn a_password_in_the_url_is_passed_on_and_not_shown() {
    let spec = read(&SMALL.replace("u@db", "u:hunt%25er2@db"));
    let url = spec.target.connect_url(|_| None).expect("it has one");
    assert_eq!(url.expose(), "postgres://u:hunt%25er2@db/shop");
    for shown in [format!("{spec:?}"), format!("{url:?}{url}"), spec.target.url.to_string()] {
        assert!(!shown.contains("hunt"), "{shown}");
    }
}

#[test]
fn a_socket_takes_a_password() {
    let socket = SMALL.replace("postgres://u@db/shop", "postgres:///shop?host=/run/postgresql&user=u");
    let spec = read(&format!("{socket}password_env = \"TARGET\"\n"));
    let secret = spec.target.connect_url(environment).expect("it is set");
    assert!(secret.expose().starts_with("postgres://u:hun%2574er"), "{}", secret.expose());
}

#[test]
fn a_password_of_the_environment_is_passed_on_whatever_is_in_it() {
    let spec = read(&format!("{SMALL}password_env = \"TARGET\"\n"));
    let secret = spec.target.connect_url(environment).expect("it is set");
    let url = url::Url::parse(secret.expose()).expect("a url");
    let password = url.password().expect("a password").to_owned();
    let decoded: Vec<u8> = url::form_urlencoded::parse(format!("p={password}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned().into_bytes())
        .expect("a value");
    assert_eq!(String::from_utf8(decoded).ok(), environment("TARGET"));
    assert_eq!((url.host_str(), url.path()), (Some("db"), "/shop"));
    assert!(!format!("{secret:?} {secret} {spec:?}").contains("er/2@"));
    let unset = spec.target.connect_url(|_| None).expect_err("it is not set");
    assert!(unset.to_string().contains("TARGET is not set"), "{unset}");
}

#[test]
fn a_mistake_beside_a_password_does_not_show_it() {
    let secret = SMALL.replace("u@db/shop", "u:hunter2@db/shop");
    let mistakes = [
        secret.replace("db/shop", "db:port/shop"),
        secret.replace("postgres:", "postgre:"),
        secret.replace("/shop", ""),
        secret.replace("/shop", "/shop?no=1"),
        secret.replace("/shop", "/shop?password=hunter2"),
        format!("{secret}password_env = \"TARGET\"\n"),
        format!("{secret}no = 1\n"),
        secret.replace("shop\"", "shop"),
    ];
    for text in mistakes {
        let error = text.parse::<Spec>().expect_err("a mistake");
        assert!(!format!("{error:?} {}", refusal(&text)).contains("hunter2"), "{error}");
    }
}

#[test]
fn a_url_in_the_wrong_place_does_not_show_its_password() {
    let url = "postgres://u:hunter2/x@db/shop";
    let columns = format!("{SMALL}overflow = \"rest\"\n[[target.columns]]\n");
    let mistakes = [
        SMALL.replace("\"orders\"\n[source]", &format!("\"{url}\"\n[source]")),
        SMALL.replacen("table = \"orders\"", &format!("table = \"{url}\""), 1),
        format!("server = \"{url}\"\n{SMALL}"),
        format!("{SMALL}on_misfit = \"{url}\"\noverflow = \"rest\"\n"),
        format!("{SMALL}versions = \"{url}\"\n"),
        format!("{SMALL}connections = \"{url}\"\n"),
        format!("{SMALL}\"{url}\" = 1\n"),
        format!("{SMALL}version = {url}\n"),
        format!("{columns}name = \"a\"\ntype = \"{url}\"\n"),
        format!("{columns}name = \"a\"\ntype = \"date\"\nzone = \"{url}\"\n"),
        format!("{columns}name = \"{url}\"\ntype = \"text\"\n"),
    ];
    for text in mistakes {
        for error in Spec::read(&text).expect_err("a mistake") {
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
        }
    }
    let error = refusal(&format!("{SMALL}versions = \"{url}\"\n"));
    assert!(error.contains("\"postgres://u:***@db/shop\""), "{error}");
}

#[test]
fn a_secret_shows_stars() {
    let secret = Secret::new("x".to_owned());
    assert_eq!(
        (format!("{secret}"), format!("{secret:?}"), secret.expose()),
        ("***".into(), "***".into(), "x")
    );
}
