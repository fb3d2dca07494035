//! The structure of the repository: which layer may name which, how long a file may be, where a file may be.
//! docs/ARCHITECTURE.md describes the layers; these tests enforce them.

mod circles;
mod paths;
mod selftest;
mod walks;
mod words;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A layer is `src/<name>.rs` and everything in `src/<name>/`.
struct Layer {
    name: &'static str,
    /// Layers that it may name, besides itself.
    may: &'static [&'static str],
    /// Paths that it must not name.
    never: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer { name: "main", may: &["cli", "traces"], never: &[] },
    Layer { name: "lib", may: &[], never: &[] },
    Layer {
        name: "cli",
        // The domain and grpc::plan for plan files, which are read without a controller; grpc::history for exported
        // histories, which are verified without one.
        may: &[
            "server",
            "jobs",
            "demo",
            "bench",
            "sidecar",
            "simulation",
            "config",
            "view",
            "gist",
            "refusal",
            "domain",
            "grpc::plan",
            "grpc::history",
        ],
        never: &["sqlx"],
    },
    Layer {
        name: "server",
        may: &[
            "api",
            "config",
            "grpc",
            "http",
            "https",
            "listen",
            "oidc",
            "service",
            "telemetry",
            "traces",
            "store",
            "domain",
        ],
        never: &[],
    },
    Layer { name: "config", may: &["notify", "oidc", "traces"], never: &["tonic", "axum", "sqlx"] },
    // Passes and the demo are clients: they use the controller over the wire.
    Layer { name: "jobs", may: &["config"], never: &[] },
    Layer { name: "demo", may: &["server", "config", "jobs", "view"], never: &[] },
    // What `status -w` and the demo both draw; it knows only the wire.
    Layer { name: "view", may: &["gist"], never: &["axum", "sqlx"] },
    // What the controller, `status` and the live view say in the same words.
    Layer { name: "gist", may: &[], never: &["tokio", "tonic", "axum", "sqlx"] },
    Layer {
        name: "bench",
        // The store and the domain for migrations whose guards judge what is measured; the gist for progress as it is shown.
        may: &[
            "server",
            "config",
            "service",
            "telemetry",
            "simulation",
            "jobs",
            "sidecar",
            "store",
            "domain",
            "gist",
        ],
        never: &[],
    },
    // Random traffic for the pure domain: a seed in, an outcome out.
    Layer {
        name: "simulation",
        may: &["domain"],
        never: &["tokio", "tonic", "axum", "sqlx", "cutover_proto"],
    },
    Layer { name: "grpc", may: &["service", "telemetry", "domain", "gist"], never: &["axum", "sqlx"] },
    // The gRPC services arrive from the server as one tower service; it knows no single call.
    Layer { name: "api", may: &["service", "telemetry", "domain", "refusal", "etag"], never: &["sqlx"] },
    // An instance behind a socket. Its JSON API is made as the controller's is; it knows no controller but over the wire.
    Layer { name: "sidecar", may: &["api", "config", "listen", "telemetry"], never: &["sqlx"] },
    // A refusal as command line and JSON API list it.
    Layer { name: "refusal", may: &[], never: &["tokio", "axum", "sqlx"] },
    Layer { name: "http", may: &["service", "telemetry", "etag", "listen"], never: &["tonic", "sqlx"] },
    // Connections, of whatever is served on them.
    Layer { name: "listen", may: &[], never: &["tonic", "sqlx"] },
    // Answers of both that a client may already hold.
    Layer { name: "etag", may: &[], never: &["tokio", "tonic", "sqlx"] },
    Layer {
        name: "service",
        may: &["store", "notify", "oidc", "https", "telemetry", "domain"],
        never: &[
            "crate::store::dynamodb",
            "crate::store::sqlite",
            "crate::store::postgres",
            "crate::store::mysql",
            "axum",
            "sqlx",
        ],
    },
    // The contents of notifications, from events. The sender passes the time in.
    Layer { name: "notify", may: &["domain"], never: &["tokio", "tonic", "axum", "sqlx", "cutover_proto"] },
    // Whom an identity provider vouches for, from its keys, which the server passes in with the time.
    Layer { name: "oidc", may: &["domain"], never: &["tokio", "tonic", "axum", "sqlx", "cutover_proto"] },
    // Spans of calls and changes, to a collector.
    Layer { name: "traces", may: &[], never: &["tokio", "sqlx", "cutover_proto"] },
    // The client for what is outside: webhooks, and an identity provider's keys.
    Layer { name: "https", may: &[], never: &["tonic", "axum", "sqlx"] },
    Layer { name: "telemetry", may: &["domain"], never: &["tonic", "axum", "sqlx"] },
    Layer {
        name: "store",
        may: &["domain"],
        never: &["tonic", "axum", "cutover_proto", "cutover_client", "cutover_store"],
    },
];

/// The crates of pure code, and packages that none of their dependencies may be, however indirectly.
const PURE: &[&str] = &["cutover-core", "cutover-domain"];
const ASYNC_OR_IO: &[&str] =
    &["tokio", "tonic", "hyper", "axum", "sqlx", "sqlx-core", "rand", "mio", "socket2"];

/// What pure code must not name of the standard library. `now` is an argument.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

const LINES_MAX: usize = 400;
const VAGUE_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "types", "manager", "mod"];

/// A file's path from the repository's root, with `/`, and its text.
type File = (String, String);

#[test]
fn layers_name_only_what_they_may() {
    assert_none(files(&["src", "crates"]).iter().flat_map(layer_violations));
}

#[test]
fn changes_are_committed_through_one_door() {
    assert_none(files(&["src"]).iter().filter_map(door_violation));
}

#[test]
fn files_are_short_and_well_named() {
    assert_none(
        files(&["src", "proto", "crates", "clients", "examples", "tests"]).iter().flat_map(file_violations),
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_script =
        |path: &Path| path.extension().is_some_and(|it| ["js", "css", "html"].iter().any(|of| it == *of));
    let console = read_all(root, &root.join("console/js"), &is_script);
    assert!(!console.is_empty(), "the console has modules");
    assert_none(
        console
            .iter()
            .chain(&read_all(root, &root.join("console/css"), &is_script))
            .flat_map(file_violations),
    );
}

#[test]
fn every_file_is_declared() {
    let declared = [
        ("src", &["src/lib.rs", "src/main.rs"][..]),
        ("clients/rust/src", &["clients/rust/src/lib.rs"]),
        ("crates/core/src", &["crates/core/src/lib.rs"]),
        ("crates/domain/src", &["crates/domain/src/lib.rs"]),
        ("crates/dynamodb/src", &["crates/dynamodb/src/lib.rs"]),
        ("crates/store/src", &["crates/store/src/lib.rs"]),
        ("tests/it", &["tests/it/main.rs"]),
        ("tests/fuzz/src", &["tests/fuzz/src/lib.rs", "tests/fuzz/src/main.rs"]),
        ("tests/simulator/src", &["tests/simulator/src/main.rs"]),
        ("tests/torturer/src", &["tests/torturer/src/main.rs"]),
    ];
    assert_none(declared.iter().flat_map(|(folder, roots)| undeclared(&files(&[*folder]), roots)));
}

#[test]
fn the_repository_stands_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_none(read_all(root, root, &|_| true).iter().filter_map(outside_violation));
}

/// The compiler keeps a crate to its dependencies; this keeps the dependencies of pure code pure.
#[test]
fn pure_crates_depend_on_nothing_that_does_io() {
    for package in PURE {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--offline",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--package",
                package,
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8_lossy(&tree.stdout);
        let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(names.contains("thiserror"), "{tree}");
        let impure: Vec<_> = ASYNC_OR_IO.iter().filter(|name| names.contains(*name)).collect();
        assert!(impure.is_empty(), "{package} depends on {impure:?}");
    }
}

/// Everything that a file names and must not.
fn layer_violations((path, text): &File) -> Vec<String> {
    let Some((module, krate)) = module_of(path) else { return Vec::new() };
    let named = paths::named(&module, text);
    let within = |path: &str, prefix: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let mut violations = BTreeSet::new();
    let mut never = |banned: &[&str], unless: &[&str]| {
        for named in &named {
            let is_banned = banned.iter().any(|banned| within(named, banned));
            if is_banned && !unless.iter().any(|fine| within(named, fine)) {
                violations.insert(format!("{path} names {named}"));
            }
        }
    };
    if krate != "cutover" {
        if PURE.contains(&krate) {
            never(IMPURE, &[]);
        }
        if let ("cutover-core", Some(own @ (&"routing" | &"guard"))) = (krate, module.first()) {
            never(&["crate", "cutover_proto"], &["crate::routing", &format!("crate::{own}")]);
        }
        return violations.into_iter().collect();
    }
    let name = match (path.as_str(), module.first()) {
        ("src/main.rs", _) => "main",
        (_, None) => "lib",
        (_, Some(first)) => first,
    };
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        return vec![format!("{path} is of no known layer: give {name} a place in LAYERS")];
    };
    never(layer.never, &[]);
    let own = format!("crate::{name}");
    let may: Vec<String> = layer.may.iter().map(|name| format!("crate::{name}")).collect();
    let fine: Vec<&str> = may.iter().map(String::as_str).chain([own.as_str()]).collect();
    if name != "lib" {
        never(&["crate"], &fine);
    }
    violations.into_iter().collect()
}

/// `src/a/b.rs` is `[a, b]`. Also returns the crate that it belongs to.
fn module_of(path: &str) -> Option<(Vec<&str>, &'static str)> {
    let crates =
        [("src/", "cutover"), ("crates/core/src/", "cutover-core"), ("crates/domain/src/", "cutover-domain")];
    let (inside, krate) =
        crates.iter().find_map(|(folder, krate)| Some((path.strip_prefix(folder)?, *krate)))?;
    let names = inside.strip_suffix(".rs")?.split('/').filter(|name| !matches!(*name, "lib" | "main"));
    Some((names.collect(), krate))
}

/// Only `service/operate` calls a store's `commit`, which is the one that takes an argument.
fn door_violation((path, text): &File) -> Option<String> {
    let tokens = paths::tokens(text);
    let calls = tokens.windows(4).any(|four| four[..3] == [".", "commit", "("] && four[3] != ")");
    let may = ["src/service/operate", "src/store"].iter().any(|door| path.starts_with(door));
    (calls && !may).then(|| format!("{path} commits past service/operate"))
}

fn file_violations((path, text): &File) -> Vec<String> {
    let mut violations = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        violations.push(format!("{path} has {lines} lines: {LINES_MAX} is the most"));
    }
    let stem = path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
    if VAGUE_NAMES.contains(&stem) {
        violations.push(format!("{path}: name it by what it is about"));
    }
    violations
}

/// Files that no `mod` leads to from the roots: they would never be compiled.
fn undeclared(files: &[File], roots: &[&str]) -> Vec<String> {
    let mut reached: BTreeSet<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    let mut ahead: Vec<String> = reached.iter().cloned().collect();
    while let Some(path) = ahead.pop() {
        let Some((_, text)) = files.iter().find(|(known, _)| *known == path) else { continue };
        let folder = match roots.contains(&path.as_str()) {
            true => path.rsplit_once('/').map_or("", |(folder, _)| folder),
            false => path.trim_end_matches(".rs"),
        };
        for three in paths::tokens(text).windows(3).filter(|three| three[0] == "mod" && three[2] == ";") {
            let child = format!("{folder}/{}.rs", three[1]);
            if reached.insert(child.clone()) {
                ahead.push(child);
            }
        }
    }
    let lost = files.iter().filter(|(path, _)| !reached.contains(path));
    lost.map(|(path, _)| format!("{path} is declared nowhere")).collect()
}

/// Nothing may refer to a folder next to the repository.
fn outside_violation((path, text): &File) -> Option<String> {
    let outside = ["..", "shared"].join("/");
    text.contains(&outside).then(|| format!("{path} points outside the repository"))
}

/// The Rust files under these folders of the repository.
fn files(folders: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_rust = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    folders.iter().flat_map(|folder| read_all(root, &root.join(folder), &is_rust)).collect()
}

fn read_all(root: &Path, folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<File> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).expect("the repository can be read");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_symlink() || matches!(name.as_ref(), ".git" | "target" | "node_modules") {
            continue;
        }
        if path.is_dir() {
            found.extend(read_all(root, &path, wanted));
        } else if wanted(&path)
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).expect("it lies under the root");
            found.push((path.to_string_lossy().replace('\\', "/"), text));
        }
    }
    found
}

fn assert_none(violations: impl Iterator<Item = String>) {
    let violations: Vec<String> = violations.collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}
