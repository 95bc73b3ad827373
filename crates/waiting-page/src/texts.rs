//! The texts of a page in one language.

use std::borrow::Cow;

/// Declares the texts that there are.
macro_rules! texts {
    ($($name:ident,)*) => {
        /// All texts of a page in one language.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Texts {
            $(pub(crate) $name: Cow<'static, str>,)*
        }

        impl Texts {
            /// The names of all.
            pub(crate) const NAMES: &[&str] = &[$(stringify!($name),)*];

            /// Has another text under a name; whether there is one of that name.
            pub(crate) fn set(&mut self, name: &str, text: Cow<'static, str>) -> bool {
                match name {
                    $(stringify!($name) => self.$name = text,)*
                    _ => return false,
                }
                true
            }

            /// The names of those that say nothing.
            pub(crate) fn missing(&self) -> Vec<&'static str> {
                let mut missing = Vec::new();
                $(if self.$name.is_empty() { missing.push(stringify!($name)); })*
                missing
            }
        }
    };
}

texts! {
    language,
    direction,
    group,
    waiting,
    waiting_about,
    keep,
    turn,
    turn_about,
    enter,
    idle,
    idle_about,
    joining,
    joining_about,
    slower,
    slower_join,
    scripts,
    early,
    early_about,
    draw_about,
    paused,
    paused_about,
    closed,
    closed_about,
    next,
    place,
    ahead,
    serving,
    wait,
    likely,
    unknown,
    soon,
    minutes,
    hours,
    opens,
    countdown,
    progress,
    sound,
    notify,
    denied,
    again,
    still,
    live,
    stopped,
    offline,
    choose,
}

impl Texts {
    /// Those of a file with a text a line: its name, ` = `, and the text.
    pub(crate) fn read(file: &'static str) -> Self {
        let mut texts = Self::default();
        for (name, text) in file.lines().filter_map(|line| line.split_once(" = ")) {
            texts.set(name, Cow::Borrowed(text));
        }
        texts
    }

    /// What stands between each three digits.
    pub(crate) fn separator(&self) -> &'static str {
        match &*self.group {
            "dot" => ".",
            // One that is narrow, and where no line breaks.
            "space" => "\u{202f}",
            _ => ",",
        }
    }

    /// A number as it is written in this language.
    pub(crate) fn number(&self, number: i64) -> String {
        let digits = number.unsigned_abs().to_string();
        let mut written = if number < 0 { "-".to_owned() } else { String::new() };
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                written.push_str(self.separator());
            }
            written.push(digit);
        }
        written
    }

    /// A time between two, in seconds, as precisely as anybody can know.
    pub(crate) fn span(&self, least: u32, most: u32) -> String {
        if most < MINUTE {
            return self.soon.to_string();
        }
        let (unit, name) = if most <= 3 * HOUR { (MINUTE, &self.minutes) } else { (HOUR, &self.hours) };
        let (least, most) = (i64::from(least / unit), i64::from(most.div_ceil(unit)));
        if least == most {
            return format!("{} {name}", self.number(most));
        }
        format!("{}\u{2013}{} {name}", self.number(least), self.number(most))
    }
}

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_they_are_read() {
        let texts = |group: &'static str| Texts {
            group: group.into(),
            soon: "soon".into(),
            minutes: "min".into(),
            hours: "h".into(),
            ..Texts::default()
        };
        for (number, comma, dot, space) in [
            (0, "0", "0", "0"),
            (999, "999", "999", "999"),
            (1_000, "1,000", "1.000", "1\u{202f}000"),
            (-1_234_567, "-1,234,567", "-1.234.567", "-1\u{202f}234\u{202f}567"),
        ] {
            let written = ["comma", "dot", "space"].map(|group| texts(group).number(number));
            assert_eq!(written, [comma, dot, space]);
        }
        for ((least, most), written) in [
            ((0, 59), "soon"),
            ((0, 60), "0–1 min"),
            ((60, 60), "1 min"),
            ((61, 301), "1–6 min"),
            ((100, 10_800), "1–180 min"),
            ((7_300, 10_801), "2–4 h"),
            ((3_600_000, 7_200_000), "1,000–2,000 h"),
        ] {
            assert_eq!(texts("comma").span(least, most), written);
        }
    }
}
