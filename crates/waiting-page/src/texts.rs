//! The texts of a page in one language.

use std::borrow::Cow;

use crate::Expected;

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
    within,
    over,
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
    failed,
    early,
    early_about,
    draw_about,
    drawing,
    drawing_about,
    paused,
    paused_about,
    closed,
    closed_about,
    unsent,
    unsent_about,
    unsent_open,
    next,
    place,
    ahead,
    serving,
    wait,
    likely,
    unknown,
    soon,
    between,
    up_to,
    more,
    seconds,
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

    /// How long somebody will wait, in words. Rounded outwards, the coarser the longer it is: so it does not jump about, and
    /// holds at least as often as what is known. The page's script does the same (`span`).
    pub(crate) fn span(&self, Expected { least, most }: Expected) -> String {
        if most <= MINUTE {
            return self.soon.to_string();
        }
        let (unit, name) = if most <= LONG { (MINUTE, &self.minutes) } else { (HOUR, &self.hours) };
        let step = |units: u32| match (unit, units) {
            (MINUTE, 60..) => 10,
            (MINUTE, 20..) => 5,
            _ => 1,
        };
        let (from, to) = (least / unit, most.div_ceil(unit));
        let to = to.next_multiple_of(step(to));
        let from = (from - from % step(from)).min(to - 1);
        let text = match (from, most > DAY) {
            (0, true) => return self.unknown.to_string(),
            (_, true) => &self.more,
            (0, false) => &self.up_to,
            (_, false) => &self.between,
        };
        let [from, to] = [from, to].map(|units| self.number(units.into()));
        text.replace("{least}", &from).replace("{most}", &to).replace("{unit}", name)
    }

    /// For how many seconds a turn can be taken, in words: never more than there are. There are always several of a unit, as
    /// its name is that of several.
    pub(crate) fn within(&self, seconds: u32) -> String {
        let (unit, name) = match seconds {
            ..120 => (1, &self.seconds),
            120..7200 => (MINUTE, &self.minutes),
            7200.. => (HOUR, &self.hours),
        };
        self.within.replace("{most}", &self.number((seconds / unit).into())).replace("{unit}", name)
    }
}

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
/// Beyond that hours are counted,
const LONG: u32 = 3 * HOUR;
/// and beyond that nobody wants to know how long it takes at most.
const DAY: u32 = 24 * HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_they_are_read() {
        let texts = |group: &'static str| Texts {
            group: group.into(),
            soon: "soon".into(),
            between: "{least} to {most} {unit}".into(),
            up_to: "up to {most} {unit}".into(),
            more: "more than {least} h".into(),
            unknown: "unknown".into(),
            within: "within {most} {unit}".into(),
            seconds: "s".into(),
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
            ((0, 60), "soon"),
            ((0, 61), "up to 2 min"),
            ((59, 61), "up to 2 min"),
            ((60, 61), "1 to 2 min"),
            ((610, 830), "10 to 14 min"),
            ((1200, 1200), "19 to 20 min"),
            ((1199, 1201), "19 to 25 min"),
            ((1499, 3601), "20 to 70 min"),
            ((100, 10_800), "1 to 180 min"),
            ((7_300, 10_801), "2 to 4 h"),
            ((7_199, 86_400), "1 to 24 h"),
            ((0, 86_401), "unknown"),
            ((3_600_000, 7_200_000), "more than 1,000 h"),
            ((u32::MAX, u32::MAX), "more than 1,193,046 h"),
        ] {
            assert_eq!(texts("comma").span(Expected { least, most }), written);
        }
        for (seconds, written) in [
            (20, "within 20 s"),
            (119, "within 119 s"),
            (120, "within 2 min"),
            (959, "within 15 min"),
            (7_199, "within 119 min"),
            (7_200, "within 2 h"),
        ] {
            assert_eq!(texts("comma").within(seconds), written);
        }
    }
}
