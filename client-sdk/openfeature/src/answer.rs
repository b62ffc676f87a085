//! A decision in OpenFeature's words.

use open_feature::provider::ResolutionDetails;
use open_feature::{EvaluationReason, FlagMetadata};
use switchover::{Decision, Path, Plan, Reason, Stage, Status};

/// A decision, and what there is to know beside it.
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    pub(crate) plan: Plan,
    pub(crate) stage: Option<Stage>,
    pub(crate) environment: Option<String>,
    pub(crate) version: Option<String>,
}

impl Answer {
    pub(crate) fn new(
        decision: Decision,
        plan: Plan,
        stage: Option<Stage>,
        status: Status,
    ) -> Answer {
        Answer {
            decision,
            plan,
            stage,
            environment: status.environment,
            version: status.version.map(|version| version.to_string()),
        }
    }

    pub(crate) fn is_new(&self) -> bool {
        self.decision.path == Path::New
    }

    pub(crate) fn path(&self) -> &'static str {
        self.decision.path.name()
    }

    /// The reason in OpenFeature's words: static where no key would change it, the split of a ramp,
    /// targeting by cohorts and requirements; the default where those were asked and did not decide.
    pub(crate) fn reason(&self) -> EvaluationReason {
        match (&self.plan, self.decision.reason) {
            (_, Reason::Breaker) => EvaluationReason::Default,
            (Plan::Always(_), _) => EvaluationReason::Static,
            (_, Reason::RampIn | Reason::RampOut) => EvaluationReason::Split,
            (_, Reason::CohortInclude | Reason::CohortExclude | Reason::Prerequisite) => {
                EvaluationReason::TargetingMatch
            }
            _ => EvaluationReason::Default,
        }
    }

    pub(crate) fn details<T>(&self, value: T) -> ResolutionDetails<T> {
        ResolutionDetails {
            value,
            variant: Some(self.path().to_owned()),
            reason: Some(self.reason()),
            flag_metadata: Some(self.metadata()),
        }
    }

    /// The names are those of the server's OFREP answers.
    fn metadata(&self) -> FlagMetadata {
        let mut metadata =
            FlagMetadata::default().with_value("reason", self.decision.reason.name());
        if let Some(stage) = self.stage {
            metadata.add_value("stage", stage.name());
        }
        if let Some(source) = self.decision.source {
            metadata.add_value("source", source.name());
        }
        if let Some(environment) = &self.environment {
            metadata.add_value("environment", environment.as_str());
            metadata.add_value("flagSetId", environment.as_str());
        }
        if let Some(version) = &self.version {
            metadata.add_value("version", version.as_str());
        }
        metadata
    }
}
