//! The web console: the files of `console/`, embedded in the binary. A debug build reads them from the disk, so
//! that they can be edited without a build.

use axum::{
    Router,
    extract::Path,
    http::{
        HeaderMap, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, VARY},
    },
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use crate::etag;

#[derive(rust_embed::Embed)]
#[folder = "console"]
#[include = "index.html"]
#[include = "icon.svg"]
#[include = "css/*.css"]
#[include = "js/*.js"]
#[include = "vendor/*.mjs"]
#[include = "vendor/*.css"]
struct Files;

/// Its routes. `/` leads there.
pub fn router() -> Router {
    let to_console = || async { Redirect::temporary("/console/") };
    Router::new()
        .route("/", get(to_console))
        .route("/console", get(to_console))
        .route("/console/", get(async |headers: HeaderMap| file("index.html", &headers)))
        .route(
            "/console/{*path}",
            get(async |Path(path): Path<String>, headers: HeaderMap| file(&path, &headers)),
        )
}

fn file(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Files::get(path) else {
        return (StatusCode::NOT_FOUND, "no such file; the console is at /console/\n").into_response();
    };
    let hash: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    // Weak: the same file may be sent compressed.
    let tag = format!("W/\"{hash}\"");
    // Asked for again at every load, so that a new controller never meets the scripts of an old one.
    let fixed = [(CACHE_CONTROL, "no-cache"), (VARY, "accept-encoding")];
    etag::tagged(headers, tag, (fixed, [(CONTENT_TYPE, content_type(path))], file.data))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
