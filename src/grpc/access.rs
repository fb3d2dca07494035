//! `AccessService`: tokens.

use std::{sync::Arc, time::Duration};

use cutover_proto::v1::{self, access_service_server::AccessService};
use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};

use super::{caller::Caller, status};
use crate::{
    domain::{Key, Role, Violation},
    service::{NewToken, TokenError, TokenRecord, Tokens},
    telemetry::now_ms,
};

/// The API for tokens.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) tokens: Arc<Tokens>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AccessService for Access {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Answer<v1::CreateTokenResponse> {
        let (caller, message) = Caller::of(request);
        let v1::CreateTokenRequest { name, roles, migrations, expires_ms, actor, reason } = message;
        let roles =
            roles.into_iter().map(role_from_wire).collect::<Result<_, _>>().map_err(status::invalid)?;
        let migrations = migrations.iter().map(|key| Key::parse(key)).collect::<Result<_, _>>();
        let migrations =
            migrations.map_err(|it| status::invalid(Violation::new("migrations", it.message)))?;
        let new = NewToken { name, roles, migrations, expires_ms: some(expires_ms) };
        let by = caller.acting(actor, reason)?;
        let (text, record) =
            self.tokens.create(new, Some(caller.principal()?), &by, now_ms()).await.map_err(refused)?;
        let text = text.expose_secret().to_owned();
        Ok(Response::new(v1::CreateTokenResponse { token: Some(token(record)), text }))
    }

    async fn list_tokens(&self, _: Request<v1::ListTokensRequest>) -> Answer<v1::ListTokensResponse> {
        let tokens = self.tokens.list().into_iter().map(token).collect();
        Ok(Response::new(v1::ListTokensResponse { tokens, at_ms: now_ms() }))
    }

    async fn rotate_token(
        &self,
        request: Request<v1::RotateTokenRequest>,
    ) -> Answer<v1::RotateTokenResponse> {
        let (caller, v1::RotateTokenRequest { name, keep_ms, expires_ms, actor, reason }) =
            Caller::of(request);
        let (by, keep) = (caller.acting(actor, reason)?, Duration::from_millis(keep_ms));
        let rotated =
            self.tokens.rotate(&name, keep, some(expires_ms), caller.principal()?, &by, now_ms()).await;
        let (text, record) = rotated.map_err(refused)?;
        let text = text.expose_secret().to_owned();
        Ok(Response::new(v1::RotateTokenResponse { token: Some(token(record)), text }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Answer<v1::RevokeTokenResponse> {
        let (caller, v1::RevokeTokenRequest { name, actor, reason }) = Caller::of(request);
        let by = caller.acting(actor, reason)?;
        self.tokens.revoke(&name, caller.principal()?, &by, now_ms()).await.map_err(refused)?;
        Ok(Response::new(v1::RevokeTokenResponse {}))
    }

    async fn list_token_events(
        &self,
        request: Request<v1::ListTokenEventsRequest>,
    ) -> Answer<v1::ListTokenEventsResponse> {
        let v1::ListTokenEventsRequest { before, page_size } = request.into_inner();
        let limit = if page_size == 0 { 100 } else { page_size.min(1000) };
        let events = self.tokens.events(before, limit).await.map_err(status::store)?;
        let next = events.last().filter(|_| events.len() == limit as usize).map_or(0, |(number, _)| *number);
        let events = events.into_iter().map(|(number, event)| v1::TokenEvent {
            number,
            at_ms: event.at_ms,
            actor: event.actor,
            reason: event.reason,
            change: event.change,
            token: event.token,
            summary: event.summary,
        });
        Ok(Response::new(v1::ListTokenEventsResponse { events: events.collect(), next }))
    }
}

fn refused(error: TokenError) -> Status {
    let message = error.to_string();
    match error {
        TokenError::Invalid(violation) => status::invalid(violation),
        TokenError::Exists(_) => Status::already_exists(message),
        TokenError::Unknown(_) => Status::not_found(message),
        TokenError::FirstIsNoAdmin
        | TokenError::FirstFromAfar
        | TokenError::LastAdmin(_)
        | TokenError::Expired(_) => Status::failed_precondition(message),
        TokenError::CallerEnded => Status::unauthenticated(message),
        TokenError::TooMany => Status::resource_exhausted(message),
        TokenError::Random(_) => Status::unavailable(message),
        TokenError::Store(error) => status::store(error),
    }
}

const fn some(ms: u64) -> Option<u64> {
    if ms == 0 { None } else { Some(ms) }
}

fn token(record: TokenRecord) -> v1::Token {
    v1::Token {
        name: record.name,
        roles: record.roles.into_iter().map(|role| role_to_wire(role).into()).collect(),
        migrations: record.migrations.iter().map(Key::to_string).collect(),
        created_ms: record.created_ms,
        created_by: record.created_by,
        expires_ms: record.expires_ms.unwrap_or(0),
        used_ms: record.used_ms,
        previous_until_ms: record.previous.map_or(0, |previous| previous.until_ms),
    }
}

pub(super) const fn role_to_wire(role: Role) -> v1::Role {
    match role {
        Role::Sdk => v1::Role::Sdk,
        Role::Viewer => v1::Role::Viewer,
        Role::Worker => v1::Role::Worker,
        Role::Operator => v1::Role::Operator,
        Role::Approver => v1::Role::Approver,
        Role::Admin => v1::Role::Admin,
    }
}

fn role_from_wire(role: i32) -> Result<Role, Violation> {
    let known = Role::ALL.into_iter().find(|known| i32::from(role_to_wire(*known)) == role);
    known.ok_or_else(|| {
        Violation::new("roles", "has an unknown role: give sdk, viewer, worker, operator, approver or admin")
    })
}
