//! A form as data: what it asks for, what was typed, and what is wrong with that. One template shows
//! all of them; one that was refused comes again with everything that stood in it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use askama::Template;
use chrono::{DateTime, NaiveDateTime, Utc};

use crate::domain::field::FieldError;
use crate::http::error::{Code, Problem};
use crate::service::Failure;
use crate::web::fields::Fields;
use crate::web::{Shell, Trouble, answer};

/// How something is put into a form.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// One line of text.
    Line,
    /// Several, so many at first.
    Lines(u8),
    /// A moment, in UTC.
    Moment,
    /// One of these values, each with its name.
    Choice(Vec<(String, String)>),
    /// Any of these values.
    Boxes(Vec<(String, String)>),
}

/// Something that a form asks for.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    name: &'static str,
    label: &'static str,
    hint: String,
    kind: Kind,
    is_needed: bool,
    /// Whether complaints about what no other input asks for are about this one.
    takes_all: bool,
    values: Vec<String>,
    complaints: Vec<String>,
}

impl Input {
    fn new(name: &'static str, label: &'static str, kind: Kind) -> Input {
        Input {
            name,
            label,
            hint: String::new(),
            kind,
            is_needed: true,
            takes_all: false,
            values: Vec::new(),
            complaints: Vec::new(),
        }
    }

    /// One line of text.
    pub(crate) fn line(name: &'static str, label: &'static str) -> Input {
        Input::new(name, label, Kind::Line)
    }

    /// Several lines, so many at first.
    pub(crate) fn lines(name: &'static str, label: &'static str, rows: u8) -> Input {
        Input::new(name, label, Kind::Lines(rows))
    }

    /// A moment, in UTC.
    pub(crate) fn moment(name: &'static str, label: &'static str) -> Input {
        Input::new(name, label, Kind::Moment).optional()
    }

    /// One of these values, each with its name.
    pub(crate) fn choice(
        name: &'static str,
        label: &'static str,
        of: Vec<(String, String)>,
    ) -> Input {
        Input::new(name, label, Kind::Choice(of))
    }

    /// Any of these values, each with its name.
    pub(crate) fn boxes(
        name: &'static str,
        label: &'static str,
        of: Vec<(String, String)>,
    ) -> Input {
        Input::new(name, label, Kind::Boxes(of)).optional()
    }

    /// Why: every change says it.
    pub(crate) fn reason() -> Input {
        Input::line("reason", "Reason").hint("It stays on record, for whoever asks why.")
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Input {
        Input {
            hint: hint.into(),
            ..self
        }
    }

    pub(crate) fn optional(self) -> Input {
        Input {
            is_needed: false,
            ..self
        }
    }

    /// Complaints about what no other input asks for are about this one.
    pub(crate) fn takes_all(self) -> Input {
        Input {
            takes_all: true,
            ..self
        }
    }

    fn value(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    fn has(&self, value: &str) -> bool {
        self.values.iter().any(|chosen| chosen == value)
    }

    /// What describes it, for who cannot see where it stands.
    fn described_by(&self) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        let complaint = (!self.complaints.is_empty()).then(|| format!("{}-complaint", self.name));
        let both: Vec<String> = hint.into_iter().chain(complaint).collect();
        both.join(" ")
    }
}

/// A form, before it is shown to somebody.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    title: String,
    intro: Vec<String>,
    facts: Vec<(&'static str, String)>,
    address: String,
    back: String,
    submit: &'static str,
    is_danger: bool,
    tag: String,
    inputs: Vec<Input>,
}

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage {
    shell: Shell,
    form: Form,
    /// What is wrong as a whole: a title, and what happened.
    refused: Option<(&'static str, String)>,
    /// Complaints about what the form does not ask for by itself.
    others: Vec<String>,
    /// Whether what it was made for has changed since.
    is_stale: bool,
}

impl Form {
    /// A form that is sent to where it is shown; whoever leaves it goes back.
    pub(crate) fn new(
        title: impl Into<String>,
        address: impl Into<String>,
        back: impl Into<String>,
        submit: &'static str,
    ) -> Form {
        Form {
            title: title.into(),
            intro: Vec::new(),
            facts: Vec::new(),
            address: address.into(),
            back: back.into(),
            submit,
            is_danger: false,
            tag: String::new(),
            inputs: Vec::new(),
        }
    }

    /// A paragraph before it.
    pub(crate) fn says(mut self, text: impl Into<String>) -> Form {
        self.intro.push(text.into());
        self
    }

    /// Something that is so now.
    pub(crate) fn fact(mut self, name: &'static str, value: impl Into<String>) -> Form {
        self.facts.push((name, value.into()));
        self
    }

    /// What it takes away cannot be had back.
    pub(crate) fn danger(self) -> Form {
        Form {
            is_danger: true,
            ..self
        }
    }

    /// It is for the thing as it is now.
    pub(crate) fn of(self, tag: impl Into<String>) -> Form {
        Form {
            tag: tag.into(),
            ..self
        }
    }

    pub(crate) fn asks(mut self, input: Input) -> Form {
        self.inputs.push(input);
        self
    }

    /// The form with what stands in it at first.
    pub(crate) fn show(
        mut self,
        request: &HttpRequest,
        shell: Shell,
        first: &Fields,
    ) -> Result<HttpResponse, Trouble> {
        self.fill(first);
        let page = FormPage {
            shell,
            form: self,
            refused: None,
            others: Vec::new(),
            is_stale: false,
        };
        answer(request, StatusCode::OK, &page)
    }

    /// The form again, with what was typed and what is wrong with it.
    ///
    /// # Errors
    /// When what is wrong is not what was typed.
    pub(crate) fn refuse(
        mut self,
        request: &HttpRequest,
        shell: Shell,
        typed: &Fields,
        problem: Problem,
    ) -> Result<HttpResponse, Trouble> {
        let passes = [Code::Unauthenticated, Code::NotFound, Code::Internal];
        if passes.into_iter().any(|code| problem.is(code)) {
            return Err(Trouble::from(problem));
        }
        self.fill(typed);
        // It was made for what was there then, and is not for what is there now.
        if let Some(tag) = typed.some("tag") {
            self.tag = tag.to_owned();
        }
        let (others, is_told) = self.complain(&problem.complaints());
        let page = FormPage {
            shell,
            // Where every complaint stands beside its field, more would only repeat them.
            refused: (!is_told).then(|| (problem.title(), problem.detail().to_owned())),
            others,
            is_stale: problem.is(Code::PreconditionFailed),
            form: self,
        };
        answer(request, problem.status_code(), &page)
    }

    fn fill(&mut self, fields: &Fields) {
        for input in &mut self.inputs {
            input.values = fields.all(input.name).map(str::to_owned).collect();
        }
    }

    /// Puts complaints beside their fields; gives those that have none, and whether all have one.
    fn complain(&mut self, complaints: &[FieldError]) -> (Vec<String>, bool) {
        let mut others = Vec::new();
        for FieldError { field, detail } in complaints {
            let own = self.inputs.iter_mut().find(|input| input.name == field);
            if let Some(input) = own {
                input.complaints.push(detail.clone());
                continue;
            }
            let told = format!("{field}: {detail}");
            match self.inputs.iter_mut().find(|input| input.takes_all) {
                Some(input) => input.complaints.push(told),
                None => others.push(told),
            }
        }
        let is_told = !complaints.is_empty() && others.is_empty();
        (others, is_told)
    }
}

/// A moment that somebody typed, in UTC; nothing where the field is empty.
///
/// # Errors
/// When it is none.
pub(crate) fn read_moment(
    fields: &Fields,
    name: &'static str,
) -> Result<Option<DateTime<Utc>>, Failure> {
    let Some(text) = fields.some(name) else {
        return Ok(None);
    };
    // As browsers send it, and as it is written everywhere else.
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|moment| moment.and_utc());
    let moment = local.or_else(|| {
        let read = DateTime::parse_from_rfc3339(text).ok();
        read.map(|moment| moment.to_utc())
    });
    moment
        .map(Some)
        .ok_or_else(|| Failure::invalid(name, "is a moment in UTC, such as 2026-01-31T18:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_browsers_and_people_write_them() {
        let read = |text: &str| {
            let fields = Fields::default().with("until", text);
            let read = read_moment(&fields, "until").ok()?;
            Some(read.map(|moment| moment.to_rfc3339()))
        };
        let moment = Some(Some("2026-01-31T18:00:00+00:00".to_owned()));
        for text in [
            "2026-01-31T18:00",
            "2026-01-31T18:00:00",
            "2026-01-31T18:00:00Z",
            "2026-01-31T19:00:00+01:00",
        ] {
            assert_eq!(read(text), moment, "{text}");
        }
        assert_eq!(read(""), Some(None));
        for text in ["tomorrow", "2026-02-31T18:00", "18:00"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn every_complaint_has_a_place() {
        let form = || {
            Form::new("t", "/a", "/", "Go")
                .asks(Input::line("name", "Name"))
                .asks(Input::lines("document", "Document", 4))
        };
        let complaints = [
            FieldError::new("name", "is taken"),
            FieldError::new("gates.opt_in[0]", "is unknown"),
        ];
        let (others, is_told) = form().complain(&complaints);
        assert_eq!(others, ["gates.opt_in[0]: is unknown"]);
        assert!(!is_told);
        let mut all =
            Form::new("t", "/a", "/", "Go").asks(Input::line("document", "D").takes_all());
        assert_eq!(all.complain(&complaints), (Vec::new(), true));
        assert_eq!(all.inputs[0].complaints.len(), 2);
        assert_eq!(form().complain(&[]), (Vec::new(), false));
    }
}
