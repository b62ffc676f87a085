//! The provider.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use open_feature::provider::{
    FeatureProvider, ProviderMetadata, ProviderStatus, ResolutionDetails,
};
use open_feature::{EvaluationContext, EvaluationError, EvaluationResult, StructValue};
use switchover::{Client, Mode, Reason, Route, RouteKey, Source};

use crate::answer::Answer;
use crate::flag::{Flag, mismatch, not_found};
use crate::readiness::ready;
use crate::tracking;

/// How the provider is called in telemetry.
pub(crate) const NAME: &str = "switchover";

/// How long [`FeatureProvider::initialize`] waits for the server, unless it is told otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many flags are known by name at most: code names its flags, and whoever makes up names must not
/// fill the memory.
const MOST_ROUTES: usize = 10_000;

/// Answers OpenFeature by a client of Switchover.
///
/// A route is a boolean flag (`true`: the new path) and a string flag (`old`, `new`); with `.path` behind
/// its key it is a string alone. Other types are a type mismatch, and what no route has is not found, so
/// that the application takes its own default.
///
/// An evaluation neither waits nor panics: the server is followed by the client's thread.
pub struct SwitchoverProvider {
    client: Client,
    patience: Duration,
    metadata: ProviderMetadata,
    is_initialized: bool,
    routes: RwLock<HashMap<Box<str>, Route>>,
}

impl SwitchoverProvider {
    /// A provider that answers by this client. The client can be used beside it.
    #[must_use]
    pub fn new(client: Client) -> SwitchoverProvider {
        SwitchoverProvider {
            client,
            patience: PATIENCE,
            metadata: ProviderMetadata::new(NAME),
            is_initialized: false,
            routes: RwLock::default(),
        }
    }

    /// How long initialisation waits for the first snapshot; 5 s unless you say otherwise. After that the
    /// client decides by its cache, or by what the code says.
    #[must_use]
    pub fn wait_at_most(mut self, patience: Duration) -> SwitchoverProvider {
        self.patience = patience;
        self
    }

    /// Evaluates a flag; what is evaluated is tracked.
    fn resolve<T>(
        &self,
        key: &str,
        context: &EvaluationContext,
        value: impl FnOnce(&Answer, Flag<'_>) -> Option<T>,
        asked: &str,
    ) -> EvaluationResult<ResolutionDetails<T>> {
        // As by OFREP: an empty key is none.
        let subject = context.targeting_key.as_deref();
        let subject = subject.filter(|key| !key.is_empty());
        let flag = Flag::of(key);
        let resolved = self.answer(key, flag, subject).and_then(|answer| {
            let value = value(&answer, flag).ok_or_else(|| mismatch(key, asked))?;
            Ok((answer, value))
        });
        match resolved {
            Ok((answer, value)) => {
                tracking::evaluated(key, subject, &answer);
                Ok(answer.details(value))
            }
            Err(error) => {
                tracking::failed(key, subject, &error);
                Err(error)
            }
        }
    }

    fn answer(
        &self,
        key: &str,
        flag: Flag<'_>,
        subject: Option<&str>,
    ) -> Result<Answer, EvaluationError> {
        let route = self.route(flag.route).ok_or_else(|| not_found(key))?;
        let decision = route.decide(subject);
        if decision.reason == Reason::UnknownRoute {
            return Err(not_found(key));
        }
        Ok(Answer::new(
            decision,
            route.plan(),
            route.stage(),
            self.client.status(),
        ))
    }

    /// The route's handle, resolved once; `None` for what cannot be a key.
    fn route(&self, key: &str) -> Option<Route> {
        {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(route) = routes.get(key) {
                return Some(route.clone());
            }
            if routes.len() >= MOST_ROUTES {
                return None;
            }
        }
        key.parse::<RouteKey>().ok()?;
        let route = self.client.route(key);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.insert(key.into(), route.clone());
        Some(route)
    }
}

#[async_trait]
impl FeatureProvider for SwitchoverProvider {
    /// Waits for the first snapshot, but no longer than [`SwitchoverProvider::wait_at_most`] says.
    async fn initialize(&mut self, _: &EvaluationContext) {
        if !ready(&self.client, self.patience).await {
            let status = self.client.status();
            tracing::warn!(
                source = %status.source,
                error = status.last_error,
                "the server has not answered yet: flags are decided without it"
            );
        }
        self.is_initialized = true;
    }

    fn status(&self) -> ProviderStatus {
        if !self.is_initialized {
            return ProviderStatus::NotReady;
        }
        let status = self.client.status();
        match (status.mode, status.source) {
            (Mode::Stopped, _) => ProviderStatus::NotReady,
            (Mode::Offline | Mode::Streaming | Mode::Polling, _) => ProviderStatus::Ready,
            // A server was named, and nothing is known of what it says.
            (_, Source::Compiled) => ProviderStatus::Error,
            _ => ProviderStatus::STALE,
        }
    }

    fn metadata(&self) -> &ProviderMetadata {
        &self.metadata
    }

    async fn resolve_bool_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<bool>> {
        let is_new = |answer: &Answer, flag: Flag<'_>| (!flag.is_text).then(|| answer.is_new());
        self.resolve(flag_key, context, is_new, "a boolean")
    }

    async fn resolve_string_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<String>> {
        let path = |answer: &Answer, _: Flag<'_>| Some(answer.path().to_owned());
        self.resolve(flag_key, context, path, "")
    }

    async fn resolve_int_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<i64>> {
        self.resolve(flag_key, context, |_, _| None, "an integer")
    }

    async fn resolve_float_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<f64>> {
        self.resolve(flag_key, context, |_, _| None, "a number")
    }

    async fn resolve_struct_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<StructValue>> {
        self.resolve(flag_key, context, |_, _| None, "a structure")
    }
}

impl fmt::Debug for SwitchoverProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwitchoverProvider")
            .field("client", &self.client)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
