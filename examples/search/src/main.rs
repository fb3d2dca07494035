//! Serves the example on port 8080.

use std::{env, error::Error, sync::Arc};

use cutover_client::{Access, Client, Options};
use cutover_example_search::{App, Index, router};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = env::var("CUTOVER_SERVER").unwrap_or_else(|_| "http://127.0.0.1:7070".to_owned());
    let options = Options { access: Access::from_env(), ..Options::default() };
    let client = Client::connect(&server, "search-api", options).await?;
    let titles = |title: &str| Index::from([("acme".to_owned(), vec![title.to_owned()])]);
    let app = Arc::new(App {
        client,
        old: titles("a page of the old index"),
        new: titles("a page of the new index"),
    });
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, router(app.clone()))
        .with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await })
        .await?;
    app.client.close().await;
    Ok(())
}
