//! Serves the example on port 8080.

use std::{env, error::Error};

use cutover_client::{Access, Client, Options};
use cutover_example_orders::{App, RETRY_FOR, router};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = env::var("CUTOVER_SERVER").unwrap_or_else(|_| "http://127.0.0.1:7070".to_owned());
    let spec = env::args().nth(1).unwrap_or_else(|| "orders.toml".to_owned());
    // With a file of its own the service also starts while the controller is down.
    let persist = Some("orders.routes".into());
    let options = Options { persist, access: Access::from_env(), ..Options::default() };
    let client = Client::connect(&server, "orders-api", options).await?;
    let orders = client.migrator_from_spec(&spec).await?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, router(App { orders, retry_for: RETRY_FOR }))
        .with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await })
        .await?;
    client.close().await;
    Ok(())
}
