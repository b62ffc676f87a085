//! What every page has around it.

use chrono::{DateTime, Utc};

use crate::domain::actor::{Actor, Role};
use crate::web::assets;
use crate::web::session::Session;
use crate::web::words::When;

/// The parts of the page, as its navigation names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Board,
    Explain,
    Audit,
    Releases,
    Environments,
    Policies,
    Cohorts,
    Webhooks,
    Keys,
    /// None of those in the navigation.
    Other,
}

impl Section {
    const LISTED: [Section; 9] = [
        Section::Board,
        Section::Explain,
        Section::Audit,
        Section::Releases,
        Section::Environments,
        Section::Policies,
        Section::Cohorts,
        Section::Webhooks,
        Section::Keys,
    ];

    /// Its name and its address.
    const fn place(self) -> (&'static str, &'static str) {
        match self {
            Section::Board | Section::Other => ("Board", "/"),
            Section::Explain => ("Explain", "/explain"),
            Section::Audit => ("Audit", "/audit"),
            Section::Releases => ("Releases", "/releases"),
            Section::Environments => ("Environments", "/environments"),
            Section::Policies => ("Policies", "/policies"),
            Section::Cohorts => ("Cohorts", "/cohorts"),
            Section::Webhooks => ("Webhooks", "/webhooks"),
            Section::Keys => ("Keys", "/keys"),
        }
    }
}

/// A link of the navigation.
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) address: &'static str,
    pub(crate) is_current: bool,
}

/// What every page has around it.
pub(crate) struct Shell {
    /// Who looks at it; `None` before somebody has signed in.
    session: Option<Session>,
    section: Section,
    /// Now, by the server's clock.
    pub(crate) now: DateTime<Utc>,
}

impl Shell {
    /// Around a page of somebody.
    pub(crate) fn of(session: &Session, section: Section, now: DateTime<Utc>) -> Shell {
        Shell {
            session: Some(session.clone()),
            section,
            now,
        }
    }

    /// Around a page of nobody.
    pub(crate) fn bare(now: DateTime<Utc>) -> Shell {
        Shell {
            session: None,
            section: Section::Other,
            now,
        }
    }

    /// Who looks at the page.
    pub(crate) fn actor(&self) -> Option<&Actor> {
        self.session.as_ref().map(|session| &session.actor)
    }

    /// When the session ends.
    pub(crate) fn ends(&self) -> Option<When> {
        let session = self.session.as_ref()?;
        Some(When::of(session.ends_at, self.now))
    }

    /// Whether they may do what operators do. What else it needs, the service says.
    pub(crate) fn may_operate(&self) -> bool {
        self.is_at_least(Role::Operator)
    }

    /// Whether they may do what maintainers do.
    pub(crate) fn may_maintain(&self) -> bool {
        self.is_at_least(Role::Maintainer)
    }

    /// Whether they are an admin.
    pub(crate) fn is_admin(&self) -> bool {
        self.is_at_least(Role::Admin)
    }

    fn is_at_least(&self, role: Role) -> bool {
        self.actor().is_some_and(|actor| actor.role >= role)
    }

    /// What forms of this session carry.
    pub(crate) fn csrf(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.csrf)
    }

    /// A name for one form: sent twice, it is carried out once.
    pub(crate) fn once(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    /// What was done last.
    pub(crate) fn notice(&self) -> Option<&str> {
        self.session.as_ref()?.notice.as_deref()
    }

    /// The navigation, without what this person is refused.
    pub(crate) fn links(&self) -> Vec<Link> {
        let link = |section: Section| {
            let (name, address) = section.place();
            Link {
                name,
                address,
                is_current: section == self.section,
            }
        };
        let may_see = |section: &Section| *section != Section::Keys || self.may_maintain();
        let seen = Section::LISTED.into_iter().filter(may_see);
        seen.map(link).collect()
    }

    /// Where the style sheet is.
    pub(crate) fn style(&self) -> &'static str {
        assets::style_address()
    }

    /// Where the script is.
    pub(crate) fn script(&self) -> &'static str {
        assets::script_address()
    }

    /// A moment as people see it.
    pub(crate) fn when(&self, at: &DateTime<Utc>) -> When {
        When::of(*at, self.now)
    }
}
