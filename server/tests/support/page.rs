//! People with a browser, as the server sees them.

use crate::support::{Remote, Reply, Who};

impl Remote {
    /// A page, as somebody who has signed in sees it.
    pub(crate) fn page(&self, who: Who, path: &str) -> Reply {
        self.request("GET", path)
            .header("cookie", &session(who))
            .header("accept", "text/html")
            .send()
    }

    /// A form that somebody fills in and sends. `fields` are those that a person sees; what the page
    /// adds by itself is read from a page of theirs.
    pub(crate) fn submit(&self, who: Who, path: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = hidden(&self.page(who, "/").body, "csrf");
        let fields: Vec<(&str, &str)> = [("csrf", csrf.as_str())]
            .into_iter()
            .chain(fields.iter().copied())
            .collect();
        self.send_form(Some(who), path, &fields)
    }

    /// A form with just these fields.
    pub(crate) fn send_form(&self, who: Option<Who>, path: &str, fields: &[(&str, &str)]) -> Reply {
        let mut request = self
            .request("POST", path)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(who) = who {
            request = request.header("cookie", &session(who));
        }
        request.body(encoded(fields)).send()
    }
}

pub(crate) fn session(who: Who) -> String {
    format!("switchover_session={}", who.token())
}

/// What a hidden field of a page holds.
#[track_caller]
pub(crate) fn hidden(html: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = html
        .split_once(&start)
        .unwrap_or_else(|| panic!("no field {name} in {html}"));
    rest.split_once('"').unwrap().0.to_owned()
}

pub(crate) fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}
