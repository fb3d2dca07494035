//! A call is admitted by its head, and again when its message is there, which may be hours later.

use std::time::Duration;

use cutover_proto::v1::{self, Role};
use tokio::sync::oneshot;
use tonic::{Code, Request, client::Grpc};

use super::{
    Guarded, channel,
    every::{Empty, methods, path},
};

/// Calls a method whose message comes once `message` is sent.
async fn call(url: String, token: String, path: String, message: oneshot::Receiver<()>) -> Code {
    let mut grpc = Grpc::new(channel(&url, &token).await);
    grpc.ready().await.unwrap();
    let messages = futures::stream::once(async move { _ = message.await });
    match grpc.streaming(Request::new(messages), path.parse().unwrap(), Empty).await {
        Ok(answer) => match answer.into_inner().message().await {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        },
        Err(status) => status.code(),
    }
}

#[tokio::test]
async fn no_message_that_comes_after_the_end_of_its_token_does_anything() {
    let guarded = Guarded::start().await;
    let mut tokens = guarded.tokens(&guarded.root).await;
    for (at, method) in methods().iter().enumerate() {
        // The one that stays shows that the other is refused for its token alone.
        for stays in [false, true] {
            let name = format!("t{at}-{stays}");
            let token = guarded.token(&name, Role::Admin).await;
            let (send, message) = oneshot::channel();
            let calling = call(guarded.url().to_owned(), token, path(method), message);
            let calling = tokio::spawn(calling);
            let admitted = async {
                loop {
                    let listed = tokens.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner();
                    if listed.tokens.iter().any(|token| token.name == name && token.used_ms > 0) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), admitted).await.expect("its head is admitted");
            if !stays {
                guarded.revoke(&name).await;
            }
            _ = send.send(()); // An answer that has begun is over by now, and takes no message.
            let code = calling.await.unwrap();
            assert_eq!(code == Code::Unauthenticated, !stays, "{}: {code:?}", path(method));
            if stays {
                guarded.revoke(&name).await;
            }
        }
    }
    let left = tokens.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner().tokens;
    assert_eq!(left.len(), 1, "no late message made a token");
    guarded.controller.stop().await;
}
