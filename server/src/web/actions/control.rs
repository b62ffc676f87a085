//! The fields of a form that changes something: what is asked, what stands in each, and what was
//! wrong with it.

use crate::domain::field::FieldError;
use crate::web::fields::Fields;

/// What a field is.
pub(super) enum Kind {
    /// One line of text, such as a share.
    Line,
    /// Several lines.
    Area,
    /// A day and a time, in UTC.
    Moment,
    /// A box to tick.
    Tick,
    /// One of these.
    Choice(Vec<Choice>),
}

/// What can be chosen.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
}

impl Choice {
    pub(super) fn new(value: impl Into<String>, label: impl Into<String>) -> Choice {
        Choice {
            value: value.into(),
            label: label.into(),
        }
    }
}

/// A field of a form.
pub(super) struct Control {
    pub(super) name: &'static str,
    label: String,
    hint: String,
    kind: Kind,
}

impl Control {
    fn new(name: &'static str, label: impl Into<String>, kind: Kind) -> Control {
        Control {
            name,
            label: label.into(),
            hint: String::new(),
            kind,
        }
    }

    pub(super) fn line(name: &'static str, label: impl Into<String>) -> Control {
        Control::new(name, label, Kind::Line)
    }

    pub(super) fn area(name: &'static str, label: impl Into<String>) -> Control {
        Control::new(name, label, Kind::Area)
    }

    pub(super) fn moment(name: &'static str, label: impl Into<String>) -> Control {
        Control::new(name, label, Kind::Moment)
    }

    pub(super) fn tick(name: &'static str, label: impl Into<String>) -> Control {
        Control::new(name, label, Kind::Tick)
    }

    pub(super) fn choice(
        name: &'static str,
        label: impl Into<String>,
        choices: Vec<Choice>,
    ) -> Control {
        Control::new(name, label, Kind::Choice(choices))
    }

    /// Why, which every change is asked for.
    pub(super) fn reason() -> Control {
        Control::line("reason", "Reason").hint("It stands in the record for ever: say why.")
    }

    /// That a loss of writes is accepted.
    pub(super) fn accept_loss(told: &str) -> Control {
        Control::tick("accept_loss", "Accept the loss")
            .hint(format!("Going back to the old store: {told}."))
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Control {
        self.hint = hint.into();
        self
    }

    /// As it is shown, with what stands in it.
    pub(super) fn shown(self, fields: &Fields, complaints: &[FieldError]) -> Shown {
        let value = fields.get(self.name).to_owned();
        let about = complaints.iter().find(|it| concerns(&it.field, self.name));
        let (shape, choices) = match self.kind {
            Kind::Line => ("line", Vec::new()),
            Kind::Area => ("area", Vec::new()),
            Kind::Moment => ("moment", Vec::new()),
            Kind::Tick => ("tick", Vec::new()),
            Kind::Choice(choices) => ("choice", choices),
        };
        Shown {
            name: self.name,
            label: self.label,
            hint: self.hint,
            shape,
            choices,
            value,
            complaint: about.map(|it| it.detail.clone()),
        }
    }
}

/// A field as the template shows it.
pub(super) struct Shown {
    pub(super) name: &'static str,
    pub(super) label: String,
    pub(super) hint: String,
    /// `line`, `area`, `moment`, `tick` or `choice`.
    pub(super) shape: &'static str,
    pub(super) choices: Vec<Choice>,
    pub(super) value: String,
    pub(super) complaint: Option<String>,
}

impl Shown {
    /// The identities of what describes it, for who does not see it.
    pub(super) fn described_by(&self) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("f-{}-hint", self.name));
        let complaint = self.complaint.as_ref();
        let complaint = complaint.map(|_| format!("f-{}-complaint", self.name));
        let all: Vec<String> = hint.into_iter().chain(complaint).collect();
        all.join(" ")
    }
}

/// Whether a complaint about `field`, such as `steps[0].percent`, is about the field of this name.
pub(super) fn concerns(field: &str, name: &str) -> bool {
    field
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
