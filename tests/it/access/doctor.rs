//! What `cutover doctor` says of tokens.

use cutover::service::operate::now_ms;
use cutover_proto::v1::{self, Role};

use super::{Guarded, create};
use crate::cli::{Said, run_with_env};

const DAY_MS: u64 = 24 * 3600 * 1000;

async fn doctor(guarded: &Guarded, token: &str) -> Said {
    run_with_env(["doctor", "--server", guarded.url()], &[("CUTOVER_TOKEN", token)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_wrong_too_weak_or_about_to_end_are_named() {
    let guarded = Guarded::start().await;
    let ends = v1::CreateTokenRequest {
        name: "ada".to_owned(),
        roles: vec![Role::Viewer.into()],
        expires_ms: now_ms() + DAY_MS,
        ..Default::default()
    };
    let ada = guarded.tokens(&guarded.root).await.create_token(ends).await.unwrap().into_inner().text;
    let said = doctor(&guarded, &ada).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("  warning  this token, ada (viewer), expires in "), "{said:?}");
    assert!(said.out.contains("cutover token rotate ada --expires 90d"), "{said:?}");

    let said = doctor(&guarded, &guarded.root).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("  ok       this token, root (admin), does not expire"), "{said:?}");
    assert!(said.out.contains("  warning  token ada expires in "), "an admin sees the others': {said:?}");

    let sdk = create(guarded.url(), &guarded.root, "shop", &[Role::Sdk], &[]).await;
    for (token, says) in [
        ("", "this controller requires a token"),
        ("cutover_00", "the token is not known"),
        (sdk.as_str(), "token shop (sdk) may not call GetController: that needs the role viewer"),
    ] {
        let said = doctor(&guarded, token).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.out.contains(&format!("  failed   {says}")), "{said:?}");
    }
    guarded.controller.stop().await;
}
