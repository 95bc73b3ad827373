use super::*;
use crate::{Expected, Place, Places, Situation, Unseen, Work};

fn page(settings: &Settings) -> Page {
    Page::compile(settings, &Pointer::default()).unwrap()
}

fn view(situation: Situation) -> View<'static> {
    let place = Place { position: 1_234_567, ahead: 1_000, serving: 1_233_566, since: 1_230_000 };
    let expected = Some(Expected { least: 610, most: 830 });
    let (update, unseen) = (Update::Live, Unseen::Rests);
    let view = View::of(situation, "a=1&b=\"><script>");
    View { place: Some(place), line: 8, expected, pause: 7, update, unseen, ..view }
}

fn rendered(settings: &Settings, view: &View<'_>, tag: &str) -> String {
    let page = page(settings);
    page.render(view, page.tagged(tag).unwrap())
}

#[test]
fn a_page_tells_the_place_what_is_ahead_and_how_long_it_takes() {
    let page = rendered(&Settings::default(), &view(Situation::Waiting), "en");
    for part in [
        "<html lang=\"en\" dir=\"ltr\">",
        "<h1 data-v=\"heading\">You are in line</h1>",
        "<dd data-v=\"place\">1,234,567</dd>",
        "<dd data-v=\"ahead\">1,000</dd>",
        "<span data-v=\"wait\">between 10 and 14 minutes</span> <small data-v=\"likely\">for four out of five people</small>",
        "max=\"4567\" value=\"3566\"></progress>",
        "<noscript><meta http-equiv=\"refresh\" content=\"7\"></noscript>",
        "<a href=\"?a=1&amp;b=&quot;&gt;&lt;script&gt;&amp;vestibule-room=in-de\" hreflang=\"de\"",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("<script>alert") && !page.contains("\"><script>\""));
}

#[test]
fn each_state_of_a_room_has_texts_of_its_own_in_every_language() {
    let page = page(&Settings::default());
    let situations = [
        Situation::Waiting,
        Situation::Joining,
        Situation::Idle { opens: Some(1_800_000_000) },
        Situation::Early { opens: None, places: Places::InOrder },
        Situation::Early { opens: Some(1_800_000_000), places: Places::Drawn },
        Situation::Paused,
        Situation::Closed,
        Situation::Drawing,
        Situation::Unsent,
    ];
    for (tag, texts) in page.languages.all() {
        let language = page.tagged(tag).unwrap();
        let pages: Vec<_> = situations.iter().map(|situation| page.render(&view(*situation), language)).collect();
        for (page, about) in pages.iter().zip([
            &texts.waiting_about,
            &texts.joining_about,
            &texts.idle_about,
            &texts.early_about,
            &texts.draw_about,
            &texts.paused_about,
            &texts.closed_about,
            &texts.drawing_about,
            &texts.unsent_about,
        ]) {
            assert!(page.contains(&escaped(about)), "{tag}: {about}");
        }
        assert!(
            pages[2].contains("<time datetime=\"2027-01-15T08:00:00Z\">2027-01-15 08:00 UTC</time>"),
            "{}",
            pages[2]
        );
        assert!(!pages[6].contains("data-v=\"facts\""), "who is not let in any more has no place");
        assert!(!pages[7].contains("data-v=\"opens\""), "it has opened");
        // What stands beside the number of people ahead, in the title.
        let heading = serde_json::to_string(&texts.paused).unwrap();
        assert!(pages[5].contains(&format!("\"heading\":{heading}")), "{}", pages[5]);
    }
    let arabic = page.render(&view(Situation::Waiting), page.tagged("ar").unwrap());
    assert!(arabic.contains("<html lang=\"ar\" dir=\"rtl\">"));
}

#[test]
fn how_long_it_takes_is_told_in_every_language_and_not_before_anything_is_known() {
    let page = page(&Settings::default());
    let wait = |tag: &str, expected: Option<(u32, u32)>| {
        let expected = expected.map(|(least, most)| Expected { least, most });
        let html = page.render(&View { expected, ..view(Situation::Waiting) }, page.tagged(tag).unwrap());
        let (_, after) = html.split_once("<span data-v=\"wait\">").unwrap();
        let (wait, after) = after.split_once("</span> <small data-v=\"likely\">").unwrap();
        (wait.to_owned(), after.split("</small>").next().unwrap().to_owned())
    };
    assert_eq!(wait("en", None), ("not known yet".into(), String::new()));
    assert_eq!(
        wait("de", Some((610, 830))),
        ("zwischen 10 und 14 Minuten".into(), "bei vier von fünf Menschen".into())
    );
    for (tag, _) in page.languages.all() {
        for (least, most, shows) in
            [(610, 830, "10 14"), (0, 14_300, "4"), (20_000, 90_000, "5"), (7_200, 14_400, "2 4")]
        {
            let (said, likely) = wait(tag, Some((least, most)));
            let digits = said.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
            assert_eq!(digits.collect::<Vec<_>>().join(" "), shows, "{tag}: {said}");
            assert!(!likely.is_empty() && !said.contains(['{', '}']), "{tag}: {said}");
        }
    }
}

#[test]
fn who_missed_a_turn_is_told_which_and_everybody_for_how_long_the_next_one_holds() {
    let page = page(&Settings::default());
    let view = View { missed: Some(4_321), holds: Some(900), ..view(Situation::Waiting) };
    for (tag, texts) in page.languages.all() {
        let html = page.render(&view, page.tagged(tag).unwrap());
        let over = texts.over.replace("{place}", &texts.number(4_321));
        assert!(html.contains(&escaped(&over)) && html.contains(&escaped(&texts.within(900))), "{tag}: {html}");
        assert!(html.contains("\"holds\":900") && html.contains("\"line\":8"));
    }
    let html = rendered(&Settings::default(), &view, "en");
    assert!(html.contains("close it and come back. When it is your turn, you have 15 minutes to enter.</p>"), "{html}");
}

#[test]
fn a_closed_room_may_open_again_and_what_was_sent_is_never_sent_again_by_the_page() {
    let closed = rendered(&Settings::default(), &view(Situation::Closed), "en");
    for part in ["http-equiv=\"refresh\" content=\"7\"", "vestibule-room=still", "id=\"v-room\""] {
        assert!(closed.contains(part), "{part}: {closed}");
    }
    let unsent = rendered(&Settings::default(), &View::of(Situation::Unsent, "a=1"), "en");
    assert!(unsent.contains("<a class=\"v-enter\" href=\"\">Open the page</a>"), "{unsent}");
    assert!(!unsent.contains("<script") && !unsent.contains("refresh") && !unsent.contains("<form"), "{unsent}");
}

#[test]
fn who_does_not_want_it_to_update_by_itself_has_a_page_that_stays() {
    let still = View { update: Update::Still, ..view(Situation::Waiting) };
    let page = rendered(&Settings::default(), &still, "en");
    assert!(!page.contains("http-equiv=\"refresh\""));
    assert!(page.contains("vestibule-room=live") && page.contains("\"live\":false"));
}

#[test]
fn what_an_operator_says_is_text_and_a_picture() {
    let settings = Settings {
        title: Some("<b>Tickets & \"more\"</script>".into()),
        logo: Some("<svg xmlns=\"http://www.w3.org/2000/svg\"/>".into()),
        ..Settings::default()
    };
    let page = rendered(&settings, &view(Situation::Waiting), "en");
    assert!(page.contains("<p class=\"v-for\">&lt;b&gt;Tickets &amp; &quot;more&quot;&lt;/script&gt;</p>"), "{page}");
    assert!(page.contains("<img src=\"data:image/svg+xml;base64,PHN2Zy"), "{page}");
    assert!(page.contains("\\u003cb>Tickets"), "{page}");
}

#[test]
fn findings_name_what_an_operator_has_to_change() {
    let settings = Settings {
        logo: Some("logo.svg".into()),
        template: Some("<main>{{room}}</main>".into()),
        language: Some("tlh".into()),
        texts: BTreeMap::from([("en".into(), BTreeMap::from([("x".into(), "y".into())]))]),
        title: None,
    };
    let findings = Page::compile(&settings, &Pointer::default().at("page")).unwrap_err();
    let places: Vec<_> = findings.iter().map(|finding| finding.at.as_str()).collect();
    assert_eq!(
        places,
        [
            "/page/texts/en/x",
            "/page/template",
            "/page/template",
            "/page/template",
            "/page/template",
            "/page/logo",
            "/page/language"
        ]
    );
    let large = Settings { logo: Some(format!("data:image/png;base64,{}", "A".repeat(40_000))), ..Settings::default() };
    assert_eq!(Page::compile(&large, &Pointer::default()).unwrap_err().len(), 1);
}

#[test]
fn a_browser_may_run_what_the_page_has_and_nothing_else() {
    let template = "<html lang='{{lang}}' dir='{{dir}}'>{{head}}<style>p{}</style><main>{{room}}{{languages}}</main>";
    let page = page(&Settings { template: Some(template.into()), ..Settings::default() });
    let work = Work { challenge: "challenge", difficulty: 8, cookie: "proof", script: "work()", without: None };
    let [waiting, joining] = [view(Situation::Waiting), View { work: Some(work), ..view(Situation::Joining) }];
    let policy = page.policy(&joining);
    let html = [waiting, joining].map(|view| page.render(&view, Language(0))).concat();
    // Each script and style of the page is in the policy.
    let contents = |open: &str, close: &str| {
        html.split(open).skip(1).map(|rest| source(rest.split(close).next().unwrap())).collect::<Vec<_>>()
    };
    let [scripts, styles] = [contents("<script>", "</script>"), contents("<style>", "</style>")];
    assert_eq!((scripts.len(), styles.len()), (2, 4));
    for source in scripts.iter().chain(&styles) {
        assert!(policy.contains(source), "{policy}");
    }
    assert!(policy.starts_with("default-src 'none'; ") && policy.ends_with("; worker-src blob:"), "{policy}");
    assert!(!policy.contains("unsafe"));
}

#[test]
fn a_page_is_small_and_brings_nothing_from_elsewhere() {
    let page = rendered(&Settings::default(), &view(Situation::Waiting), "en");
    assert!(page.len() < 17 * 1024, "{}", page.len());
    let without_names = page.replace("http://www.w3.org/2000/svg", "");
    assert!(
        !without_names.contains("http://") && !without_names.contains("https://") && !without_names.contains("src=\"")
    );
}

#[test]
fn who_need_not_work_is_told_how_they_join_without_it_and_who_must_needs_scripts() {
    let shown = |without| {
        let work = Work { challenge: "a-b", difficulty: 18, cookie: "proof-sale", script: "work()", without };
        let view = View { work: Some(work), place: None, ..view(Situation::Joining) };
        rendered(&Settings::default(), &view, "de")
    };
    let (either, must) = (shown(Some("slower=1")), shown(None));
    assert!(either.contains("href=\"?a=1&amp;b=&quot;&gt;&lt;script&gt;&amp;slower=1\""), "{either}");
    assert!(either.contains("id=\"proof-failed\" role=\"alert\" hidden>In diesem Browser"), "{either}");
    assert!(either.contains("data-challenge=\"a-b\" data-difficulty=\"18\" data-cookie=\"proof-sale\""), "{either}");
    for page in [&either, &must] {
        assert!(page.contains("<noscript><p role=\"alert\">Diese Seite braucht JavaScript.</p></noscript>"), "{page}");
        // Its script shows it.
        assert!(page.contains("<p id=\"proof-about\" hidden>Ihr Browser"), "{page}");
    }
    assert!(!must.contains("slower=1"), "{must}");
    // It goes on once that is done, and not before.
    assert!(!either.contains("http-equiv=\"refresh\"") && !either.contains("id=\"v-room\""), "{either}");
}
