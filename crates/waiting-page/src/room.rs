//! The part of a page that tells how it stands, and what its script needs to know.

use serde_json::json;

use crate::page::{SCRIPT, address, escaped, put};
use crate::texts::Texts;
use crate::view::Places;
use crate::{Expected, Place, Situation, Unseen, Update, View, Work};

/// What it is about, in a few words.
pub(crate) fn heading(situation: Situation, texts: &Texts) -> &str {
    match situation {
        Situation::Waiting => &texts.waiting,
        Situation::Joining => &texts.joining,
        Situation::Idle { .. } => &texts.idle,
        Situation::Early { .. } => &texts.early,
        Situation::Drawing => &texts.drawing,
        Situation::Paused => &texts.paused,
        Situation::Closed => &texts.closed,
        Situation::Unsent => &texts.unsent,
    }
}

/// What that means for whoever waits, and what they can do.
fn about(situation: Situation, texts: &Texts) -> &str {
    match situation {
        Situation::Waiting => &texts.waiting_about,
        Situation::Joining => &texts.joining_about,
        Situation::Idle { .. } => &texts.idle_about,
        Situation::Early { places: Places::InOrder, .. } => &texts.early_about,
        Situation::Early { places: Places::Drawn, .. } => &texts.draw_about,
        Situation::Drawing => &texts.drawing_about,
        Situation::Paused => &texts.paused_about,
        Situation::Closed => &texts.closed_about,
        Situation::Unsent => &texts.unsent_about,
    }
}

/// Writes that part.
pub(crate) fn room(page: &mut String, view: &View<'_>, texts: &Texts, title: &str) {
    let heading = escaped(heading(view.situation, texts));
    let about = escaped(about(view.situation, texts));
    put(page, format_args!("<h1 data-v=\"heading\">{heading}</h1>\n"));
    put(page, format_args!("<p data-v=\"said\" class=\"v-said\" role=\"status\"></p>\n"));
    let enter = escaped(&texts.enter);
    put(page, format_args!("<p data-v=\"enter\" hidden><a class=\"v-enter\" href=\"\">{enter}</a></p>\n"));
    if let Some(missed) = view.missed {
        let over = texts.over.replace("{place}", &texts.number(missed.into()));
        put(page, format_args!("<p data-v=\"over\">{}</p>\n", escaped(&over)));
    }
    let is_over = matches!(view.situation, Situation::Closed | Situation::Unsent);
    if !is_over {
        facts(page, view, texts);
        put(page, format_args!("<h2 data-v=\"next\">{}</h2>\n", escaped(&texts.next)));
    }
    match view.work {
        // Its script shows it: without scripts nothing goes on by itself.
        Some(work) => {
            put(page, format_args!("<p id=\"proof-about\" hidden>{about}</p>\n"));
            joins(page, view.query, work, texts);
        }
        None => put(page, format_args!("<p data-v=\"about\">{about}</p>\n")),
    }
    if view.situation == Situation::Unsent {
        // An address without anything is this one, which a link asks for by GET.
        put(page, format_args!("<p><a class=\"v-enter\" href=\"\">{}</a></p>\n", escaped(&texts.unsent_open)));
        return;
    }
    put(page, format_args!("<div data-v=\"rest\">\n"));
    if view.place.is_some() && !is_over {
        let within = view.holds.map(|holds| format!(" {}", texts.within(holds))).unwrap_or_default();
        put(page, format_args!("<p class=\"v-note\">{}{}</p>\n", escaped(&texts.keep), escaped(&within)));
    }
    if view.update == Update::Still && !is_over {
        put(page, format_args!("<p class=\"v-note\">{}</p>\n", escaped(&texts.stopped)));
    }
    put(page, format_args!("<p data-v=\"offline\" role=\"alert\" hidden>{}</p>\n", escaped(&texts.offline)));
    alerts(page, texts);
    ways(page, view, texts);
    put(page, format_args!("</div>\n"));
    if view.situation.looks_again() {
        script(page, view, texts, title);
    }
}

/// What has a browser work, and leads on.
fn joins(page: &mut String, query: &str, work: Work<'_>, texts: &Texts) {
    let Work { challenge, difficulty, cookie, script, without } = work;
    put(
        page,
        format_args!(
            "<progress id=\"proof\" max=\"1\" value=\"0\" aria-label=\"{}\" data-challenge=\"{}\" \
             data-difficulty=\"{difficulty}\" data-cookie=\"{}\" hidden></progress>\n",
            escaped(&texts.joining),
            escaped(challenge),
            escaped(cookie),
        ),
    );
    put(page, format_args!("<p id=\"proof-failed\" role=\"alert\" hidden>{}</p>\n", escaped(&texts.failed)));
    put(page, format_args!("<noscript><p role=\"alert\">{}</p></noscript>\n", escaped(&texts.scripts)));
    if let Some(member) = without {
        let and = if query.is_empty() { "" } else { "&amp;" };
        let address = format!("?{}{and}{}", escaped(query), escaped(member));
        let (about, join) = (escaped(&texts.slower), escaped(&texts.slower_join));
        put(page, format_args!("<p>{about}</p>\n<p><a href=\"{address}\" rel=\"nofollow\">{join}</a></p>\n"));
    }
    put(page, format_args!("<script>{script}</script>\n"));
}

fn facts(page: &mut String, view: &View<'_>, texts: &Texts) {
    let opens = view.situation.opens();
    if view.place.is_none() && opens.is_none() {
        return;
    }
    put(page, format_args!("<dl class=\"v-facts\" data-v=\"facts\">\n"));
    if let Some(opens) = opens {
        let (name, exact) = (escaped(&texts.opens), moment(opens));
        put(page, format_args!("<div class=\"v-wide\"><dt>{name}</dt><dd data-v=\"opens\">{exact}</dd></div>\n"));
        put(
            page,
            format_args!(
                "<div class=\"v-wide v-place\" data-v=\"countdown-is\" hidden><dt>{}</dt><dd data-v=\"countdown\"></dd></div>\n",
                escaped(&texts.countdown)
            ),
        );
    }
    if let Some(place) = view.place {
        let is_moving = view.situation == Situation::Waiting;
        let fact = |page: &mut String, class: &str, (name, text, value): (&str, &str, String)| {
            let text = escaped(text);
            put(page, format_args!("<div class=\"{class}\"><dt>{text}</dt><dd data-v=\"{name}\">{value}</dd></div>\n"));
        };
        fact(page, "v-wide v-place", ("place", &texts.place, texts.number(place.position.into())));
        if opens.is_none() {
            let ahead = i64::try_from(place.ahead).unwrap_or(i64::MAX);
            fact(page, "", ("ahead", &texts.ahead, texts.number(ahead)));
            fact(page, "", ("serving", &texts.serving, texts.number(place.serving.max(0))));
        }
        if is_moving {
            wait(page, view.expected, texts);
        }
    }
    put(page, format_args!("</dl>\n"));
    if let Some(place) = view.place.filter(|_| opens.is_none()) {
        progress(page, place, texts);
    }
}

fn wait(page: &mut String, known: Option<Expected>, texts: &Texts) {
    let span = known.map_or_else(|| texts.unknown.to_string(), |known| texts.span(known));
    put(
        page,
        format_args!(
            "<div class=\"v-wide\"><dt>{}</dt><dd><span data-v=\"wait\">{}</span> <small data-v=\"likely\">{}</small></dd></div>\n",
            escaped(&texts.wait),
            escaped(&span),
            known.map(|_| escaped(&texts.likely)).unwrap_or_default(),
        ),
    );
}

fn progress(page: &mut String, place: Place, texts: &Texts) {
    let most = i64::from(place.position).saturating_sub(place.since).max(1);
    let value = place.serving.max(0).saturating_sub(place.since).clamp(0, most);
    let label = escaped(&texts.progress);
    put(
        page,
        format_args!(
            "<progress data-v=\"progress\" aria-label=\"{label}\" max=\"{most}\" value=\"{value}\"></progress>\n"
        ),
    );
}

/// What only a script can do, which shows it.
fn alerts(page: &mut String, texts: &Texts) {
    put(
        page,
        format_args!(
            "<div class=\"v-alerts\" data-v=\"alerts\" hidden>\n\
             <label><input type=\"checkbox\" data-v=\"sound\" autocomplete=\"off\"> {}</label>\n\
             <label><input type=\"checkbox\" data-v=\"notify\" autocomplete=\"off\"> {}</label>\n\
             <p data-v=\"denied\" role=\"alert\" hidden>{}</p>\n</div>\n",
            escaped(&texts.sound),
            escaped(&texts.notify),
            escaped(&texts.denied),
        ),
    );
}

fn ways(page: &mut String, view: &View<'_>, texts: &Texts) {
    let (what, text) = match view.update {
        Update::Live => ("still", &texts.still),
        Update::Still => ("live", &texts.live),
    };
    let (again, other) = (escaped(&texts.again), escaped(text));
    put(page, format_args!("<p class=\"v-ways\"><a href=\"\">{again}</a>"));
    if view.situation.looks_again() {
        put(page, format_args!(" <a href=\"{}\" rel=\"nofollow\">{other}</a>", address(view.query, what)));
    }
    put(page, format_args!("</p>\n"));
}

fn script(page: &mut String, view: &View<'_>, texts: &Texts, title: &str) {
    let told = json!({
        "situation": view.situation.name(),
        "opens": view.situation.opens(),
        "position": view.place.map(|place| place.position),
        "ahead": view.place.map(|place| place.ahead),
        "line": view.line,
        "holds": view.holds,
        "since": view.place.map_or(0, |place| place.since),
        "wait": view.expected.map(|Expected { least, most }| [least, most]),
        "pause": view.pause,
        "live": view.update == Update::Live,
        "unseen": view.unseen == Unseen::Asks,
        "title": title,
        "texts": {
            "group": texts.separator(),
            "heading": heading(view.situation, texts),
            "turn": texts.turn,
            "turn_about": texts.turn_about,
            "ahead": texts.ahead,
            "likely": texts.likely,
            "unknown": texts.unknown,
            "soon": texts.soon,
            "between": texts.between,
            "up_to": texts.up_to,
            "more": texts.more,
            "minutes": texts.minutes,
            "hours": texts.hours,
        },
    });
    // Nothing in it can end the element that it stands in.
    let told = told.to_string().replace('<', "\\u003c");
    let script = &*SCRIPT;
    put(
        page,
        format_args!("<script type=\"application/json\" id=\"v-room\">{told}</script>\n<script>{script}</script>\n"),
    );
}

/// A moment as it is written everywhere; a script shows it as it is where the visitor is.
fn moment(seconds: u32) -> String {
    let moment = jiff::Timestamp::from_second(seconds.into()).unwrap_or_default();
    format!("<time datetime=\"{moment}\">{}</time>", moment.strftime("%Y-%m-%d %H:%M UTC"))
}
