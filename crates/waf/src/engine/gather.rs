//! The values that a rule looks at.

use super::state::{Found, NO_SEVERITY, Name, Named, Origin, Transaction};
use crate::action::Initialised;
use crate::rules::RuleAt;
use crate::slots::Slot;
use crate::target::{Manner, Selector, Target};
use crate::values::ValueId;
use crate::variable::Variable;

impl Transaction {
    /// Appends what a rule's targets give, in their order.
    pub(crate) fn gather(&mut self, targets: &[Target], at: RuleAt, found: &mut Vec<Found>) {
        for target in targets {
            match target.manner {
                Manner::Include => self.values_of(target, Some(at), found),
                Manner::Exclude => found.retain(|value| !self.is_meant(target, value)),
                Manner::Count => {
                    let before = found.len();
                    self.values_of(target, Some(at), found);
                    let count = found.len() - before;
                    found.truncate(before);
                    let value = self.values.intern_number(count as u64);
                    found.push(Found { variable: target.variable, name: Name::Counted, value });
                }
            }
        }
    }

    /// Whether a target means a value, to take it out.
    pub(super) fn is_meant(&self, target: &Target, value: &Found) -> bool {
        target.variable == value.variable
            && match (&target.selector, value.name) {
                (Selector::Every, _) => true,
                (_, Name::None | Name::Counted) => false,
                (Selector::Slot(wanted), Name::Slot(slot)) => *wanted == slot,
                (Selector::Slot(wanted), Name::Is(name)) => {
                    self.rules.slots.name(*wanted).eq_ignore_ascii_case(self.values.bytes(name))
                }
                (selector, Name::Slot(slot)) => selector.takes(self.rules.slots.name(slot)),
                (selector, Name::Is(name) | Name::Whole(name)) => selector.takes(self.values.bytes(name)),
            }
    }

    /// The values of one target.
    pub(super) fn values_of(&mut self, target: &Target, at: Option<RuleAt>, found: &mut Vec<Found>) {
        let variable = target.variable;
        let selector = &target.selector;
        match variable {
            Variable::Args | Variable::ArgsGet | Variable::ArgsPost => {
                self.arguments(variable, selector, Part::Value, found);
            }
            Variable::ArgsNames | Variable::ArgsGetNames | Variable::ArgsPostNames => {
                self.arguments(variable, selector, Part::Name, found);
            }
            Variable::RequestHeaders => self.named((variable, selector), &self.request_headers, Part::Value, found),
            Variable::RequestHeadersNames => self.named((variable, selector), &self.request_headers, Part::Name, found),
            Variable::ResponseHeaders => self.named((variable, selector), &self.response_headers, Part::Value, found),
            Variable::ResponseHeadersNames => {
                self.named((variable, selector), &self.response_headers, Part::Name, found);
            }
            Variable::RequestCookies => self.named((variable, selector), &self.cookies, Part::Value, found),
            Variable::RequestCookiesNames => self.named((variable, selector), &self.cookies, Part::Name, found),
            Variable::MultipartPartHeaders => self.named((variable, selector), &self.part_headers, Part::Value, found),
            Variable::Env => self.named((variable, selector), &self.env, Part::Value, found),
            Variable::Files | Variable::FilesNames | Variable::FilesSizes | Variable::FilesTmpContent => {
                self.file_values(variable, selector, found);
            }
            Variable::MatchedVars | Variable::MatchedVarsNames => self.matched_values(variable, selector, found),
            Variable::Tx => self.transaction_values(target, found),
            Variable::Ip | Variable::Global | Variable::Resource | Variable::Session | Variable::User => {
                self.kept_values(variable, selector, found);
            }
            Variable::Rule => self.rule_value(selector, at, found),
            Variable::Xml => self.xml_values(selector, found),
            _ => {
                if let Some(value) = self.single(variable) {
                    found.push(Found { variable, name: Name::None, value });
                }
            }
        }
    }

    fn arguments(&self, variable: Variable, selector: &Selector, part: Part, found: &mut Vec<Found>) {
        let origin = match variable {
            Variable::ArgsGet | Variable::ArgsGetNames => Some(Origin::Query),
            Variable::ArgsPost | Variable::ArgsPostNames => Some(Origin::Body),
            _ => None,
        };
        for argument in &self.arguments {
            if origin.is_none_or(|origin| origin == argument.origin) && selector.takes(self.values.bytes(argument.name))
            {
                let value = part.of(argument.name, argument.value);
                found.push(Found { variable, name: Name::Is(argument.name), value });
            }
        }
    }

    fn named(&self, asked: (Variable, &Selector), all: &[Named], part: Part, found: &mut Vec<Found>) {
        let (variable, selector) = asked;
        for entry in all.iter().filter(|entry| entry.is_meant(selector, &self.values)) {
            found.push(Found { variable, name: Name::Is(entry.name), value: part.of(entry.name, entry.value) });
        }
    }

    fn file_values(&mut self, variable: Variable, selector: &Selector, found: &mut Vec<Found>) {
        for index in 0..self.files.len() {
            let Some(file) = self.files.get(index).copied() else { continue };
            if !selector.takes(self.values.bytes(file.field)) {
                continue;
            }
            let value = match variable {
                Variable::Files => file.name,
                Variable::FilesSizes => self.values.intern_number(file.size),
                Variable::FilesTmpContent => file.content,
                _ => file.field,
            };
            found.push(Found { variable, name: Name::Is(file.field), value });
        }
    }

    fn matched_values(&mut self, variable: Variable, selector: &Selector, found: &mut Vec<Found>) {
        for index in 0..self.matched_vars.len() {
            let Some((matched, value)) = self.matched_vars.get(index).copied() else { continue };
            let name = self.full_name(&matched);
            if selector.takes(self.values.bytes(name)) {
                let value = if variable == Variable::MatchedVars { value } else { name };
                found.push(Found { variable, name: Name::Whole(name), value });
            }
        }
    }

    fn transaction_values(&self, target: &Target, found: &mut Vec<Found>) {
        let selector = &target.selector;
        let mut look_at = |slot: Slot| {
            if let Some(value) = self.variables.get(slot.0 as usize).copied().flatten() {
                found.push(Found { variable: Variable::Tx, name: Name::Slot(slot), value });
            }
        };
        match (selector, &target.slots) {
            (Selector::Slot(slot), _) => return look_at(*slot),
            (_, Some(slots)) => slots.iter().for_each(|slot| look_at(*slot)),
            (_, None) => {
                let slots = &self.rules.slots;
                slots.all().filter(|slot| selector.takes(slots.name(*slot))).for_each(look_at);
            }
        }
        self.named((Variable::Tx, selector), &self.others, Part::Value, found);
    }

    fn kept_values(&self, variable: Variable, selector: &Selector, found: &mut Vec<Found>) {
        let now = self.environment.now.seconds;
        let Some(wanted) = Initialised::of(variable) else { return };
        let Some((_, collection)) = self.collections.iter().find(|(which, _)| *which == wanted) else { return };
        for (name, value) in collection.current(now) {
            if selector.takes(self.values.bytes(name)) {
                found.push(Found { variable, name: Name::Is(name), value });
            }
        }
    }

    fn rule_value(&mut self, selector: &Selector, at: Option<RuleAt>, found: &mut Vec<Found>) {
        let (Selector::Named(member), Some(at)) = (selector, at) else { return };
        let Some(text) = self.rules.rule(at).and_then(|rule| {
            Some(match member.to_ascii_lowercase().as_slice() {
                b"id" => rule.id()?.to_string(),
                b"rev" => rule.revision()?.to_owned(),
                b"ver" => rule.version()?.to_owned(),
                b"severity" => rule.severity()?.to_string(),
                b"maturity" => rule.ratings().0?.to_string(),
                b"accuracy" => rule.ratings().1?.to_string(),
                b"msg" => rule.message()?,
                b"logdata" => rule.data()?,
                _ => return None,
            })
        }) else {
            return;
        };
        let name = Name::Is(self.values.intern(member));
        let value = self.values.intern(text.as_bytes());
        found.push(Found { variable: Variable::Rule, name, value });
    }

    fn xml_values(&mut self, selector: &Selector, found: &mut Vec<Found>) {
        let (Selector::Path(path), Some(xml)) = (selector, &self.xml) else { return };
        let name = Name::Is(self.values.intern(&path.0));
        for value in xml.values(&path.1) {
            found.push(Found { variable: Variable::Xml, name, value: self.values.intern(value) });
        }
    }

    /// The value of a variable that has one.
    pub(super) fn single(&mut self, variable: Variable) -> Option<ValueId> {
        let now = self.environment.now;
        let parts = || now.parts();
        let text = match variable {
            Variable::ArgsCombinedSize => {
                let size = |id| self.values.bytes(id).len();
                self.arguments
                    .iter()
                    .map(|argument| size(argument.name) + size(argument.value))
                    .sum::<usize>()
                    .to_string()
            }
            Variable::HighestSeverity => match self.highest_severity {
                NO_SEVERITY => "255".to_owned(),
                severity => severity.to_string(),
            },
            Variable::Duration => self.lasted.to_string(),
            Variable::MatchedVar => return Some(self.last_match.map_or(ValueId::EMPTY, |(_, value)| value)),
            Variable::MatchedVarName => {
                return Some(self.last_match.map_or(ValueId::EMPTY, |(found, _)| self.full_name(&found)));
            }
            Variable::FullRequest => return Some(self.full_request()),
            Variable::FullRequestLength => {
                let full = self.full_request();
                self.values.bytes(full).len().to_string()
            }
            Variable::Time => format!("{:02}:{:02}:{:02}", parts().hour, parts().minute, parts().second),
            Variable::TimeDay => format!("{:02}", parts().day),
            Variable::TimeEpoch => now.seconds.to_string(),
            Variable::TimeHour => format!("{:02}", parts().hour),
            Variable::TimeMin => format!("{:02}", parts().minute),
            Variable::TimeMon => format!("{:02}", parts().month),
            Variable::TimeSec => format!("{:02}", parts().second),
            Variable::TimeWday => parts().weekday.to_string(),
            Variable::TimeYear => parts().year.to_string(),
            _ => return self.scalar(variable),
        };
        Some(self.values.intern(text.as_bytes()))
    }

    /// The request as it would be written.
    fn full_request(&mut self) -> ValueId {
        let mut text =
            self.scalar(Variable::RequestLine).map(|line| self.values.bytes(line).to_vec()).unwrap_or_default();
        text.extend_from_slice(b"\n");
        for header in &self.request_headers {
            for piece in [self.values.bytes(header.name), b": ", self.values.bytes(header.value), b"\n"] {
                text.extend_from_slice(piece);
            }
        }
        text.extend_from_slice(b"\n");
        text.extend_from_slice(&self.body);
        self.values.intern(&text)
    }

    /// The name that a match is known by, such as `ARGS:q`.
    pub(super) fn full_name(&mut self, found: &Found) -> ValueId {
        if let Name::Whole(name) = found.name {
            return name;
        }
        let mut full = std::mem::take(&mut self.scratch);
        full.clear();
        self.write_name(found, &mut full);
        let name = self.values.intern(&full);
        self.scratch = full;
        name
    }

    /// Writes this name.
    pub(super) fn write_name(&self, found: &Found, out: &mut Vec<u8>) {
        let name = match found.name {
            Name::None | Name::Counted => return out.extend_from_slice(found.variable.name().as_bytes()),
            Name::Whole(name) => return out.extend_from_slice(self.values.bytes(name)),
            Name::Is(name) => self.values.bytes(name),
            Name::Slot(slot) => self.rules.slots.name(slot),
        };
        out.extend_from_slice(found.variable.name().as_bytes());
        out.push(b':');
        escape_into(name, out);
    }
}

/// Which half of a named value is looked at.
#[derive(Clone, Copy)]
enum Part {
    Name,
    Value,
}

impl Part {
    fn of(self, name: ValueId, value: ValueId) -> ValueId {
        match self {
            Self::Name => name,
            Self::Value => value,
        }
    }
}

/// Writes what cannot be shown as escapes.
pub(super) fn escape_into(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            0x08 => out.extend_from_slice(b"\\b"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x0b => out.extend_from_slice(b"\\v"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(*byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}
