//! Never the wrong child: thousands of invented Primeros, and no write that reaches a case which is not exactly the one asked for.
//!
//! The judge sits in the simulators and knows what Primero has shown ([`judge`]); the program is asked nothing.
//! `REFERRALD_PROOF_CASES` says how many scenes (40 by default, half of them always the same), `REFERRALD_PROOF_SEED` which ones
//! the other half are; the seed is printed.

mod decisions;
mod judge;
mod scene;

use std::{
    cell::{Cell, RefCell},
    fmt::Debug,
    future::Future,
    time::Duration,
};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use referrald::{
    activity::Event,
    sandbox::{Endpoint, Fault, Rule},
};
use serde_json::json;

use self::{
    judge::{Judge, Outcome},
    scene::{Answer, How, Lie, Scene, Search, scenes},
};
use crate::world::World;

/// The seed of the half that is always the same.
const FIXED: u64 = 20_260_302;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Tries scenes until one is judged wrong; that one is made as small as it stays wrong.
fn try_all<S: Debug, F: Future<Output = Result<(), String>>>(scenes: &impl Strategy<Value = S>, play: impl Fn(S) -> F) {
    let cases = number("REFERRALD_PROOF_CASES", 40);
    let seed = number("REFERRALD_PROOF_SEED", fastrand::u64(..));
    println!("{cases} scenes, the half of them with REFERRALD_PROOF_SEED={seed}");
    for (seed, cases) in [(FIXED, cases.div_ceil(2)), (seed, cases / 2)] {
        let cases = u32::try_from(cases).expect("not so many");
        let config = Config { cases, failure_persistence: None, max_shrink_time: 120_000, ..Config::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let tried = runner.run(scenes, |scene| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(play(scene)).map_err(TestCaseError::fail)
        });
        tried.unwrap_or_else(|wrong| panic!("with REFERRALD_PROOF_SEED={seed}: {wrong}"));
    }
}

#[test]
fn no_write_reaches_a_case_that_is_not_exactly_the_one_asked_for() {
    let sum = RefCell::new(Outcome::default());
    let (held, blocked) = (Cell::new(0), Cell::new(0));
    try_all(&scenes(), |scene| async {
        let (outcome, is_held, is_blocked) = play(scene).await?;
        let mut sum = sum.borrow_mut();
        sum.created += outcome.created;
        sum.added += outcome.added;
        sum.told += outcome.told;
        held.set(held.get() + usize::from(is_held));
        blocked.set(blocked.get() + usize::from(is_blocked));
        Ok(())
    });
    let (sum, held, blocked) = (sum.into_inner(), held.get(), blocked.get());
    println!("written to the wrong child 0; {sum:?}; scenes with something held {held}, with Primero blocked {blocked}");
    // A bridge that never writes would pass everything above.
    assert!(sum.created > 0 && sum.added > 0 && sum.told > 0 && held > 0);
}

/// Plays a scene to its end and hears the judge: what was written, whether something was held, and whether Primero was blocked.
async fn play(scene: Scene) -> Result<(Outcome, bool, bool), String> {
    let parallel = if scene.together { "4" } else { "1" };
    let world = World::with(&[("REFERRALD__PRIMERO__PARALLEL", parallel)]).await;
    for child in &scene.children {
        judge::register(&world.stage.primero, child.document());
    }
    let judge = Judge::seated(&scene, &world.stage);
    if let Some(trouble) = scene.fault {
        let fault = match trouble.how {
            How::Cut => Fault::cut(),
            How::CutAfterEffect => Fault::cut().after_effect(),
            How::Status500 => Fault::status(500),
            How::HtmlAfterEffect => Fault::html_page().after_effect(),
        };
        world.stage.primero.faults().plant(Rule::on(trouble.endpoint).once(), fault);
    }
    let rows: Vec<_> = scene.posts.iter().enumerate().map(|(place, post)| post.row(place)).collect();
    for (place, row) in rows.into_iter().enumerate() {
        world.post(&json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [row] })).await;
        if !scene.together {
            world.settle().await;
            // Between two posts: nothing, or what waits is tried again.
            world.pass(Duration::from_secs(if place == 0 { 1 } else { 60 })).await;
        }
    }
    world.settle().await;
    world.pass(Duration::from_secs(31 * 60)).await;
    judge.end_of_lies();
    for _ in 0..3 {
        world.pass(Duration::from_secs(61 * 60)).await;
    }
    let (outcome, wrong) = judge.verdict();
    for faults in [world.stage.primero.faults(), world.stage.dtp.faults()] {
        faults.clear();
    }
    let (is_held, is_blocked) = (world.heard(Event::Held), world.heard(Event::Blocked));
    world.end_whatever().await;
    if wrong.is_empty() { Ok((outcome, is_held, is_blocked)) } else { Err(wrong.join("; ")) }
}

/// Scenes that chance would meet seldom.
#[test]
fn a_scene_of_each_danger_is_judged_right() {
    use scene::{Child, Edit, Identity, Place, Post, Spelling, Trouble, What};
    let child =
        |number, case_id| Child { person: 0, number, case_id, place: Place::InReach, status: "open", identity: Identity::Same };
    let post = |case_id| Post { number: 0, person: 0, case_id };
    let quiet = |children: &[Child], posts: &[Post]| Scene {
        children: children.to_vec(),
        posts: posts.to_vec(),
        together: false,
        lie: None,
        fault: None,
        edits: Vec::new(),
    };
    let lied = |search, answer, scene: Scene| Scene { lie: Some(Lie { search, answer }), ..scene };
    let edited = |endpoint, nth, what, scene: Scene| Scene { edits: vec![Edit { endpoint, nth, what }], ..scene };
    let named = child(Spelling::Missing, Some(0));
    let mut scenes = vec![
        // The number is told in another spelling, or by a search that fails, while DTP names a case that has none.
        quiet(&[named, child(Spelling::LowerCase, None)], &[post(Some(0))]),
        quiet(&[named, child(Spelling::WithBlanks, None)], &[post(Some(0))]),
        lied(Search::Number, Answer::Empty, quiet(&[named, child(Spelling::Exact, None)], &[post(Some(0))])),
        lied(Search::Number, Answer::Empty, quiet(&[child(Spelling::Exact, None)], &[post(None)])),
        lied(Search::CaseId, Answer::Empty, quiet(&[child(Spelling::Exact, Some(0))], &[post(Some(0))])),
        lied(Search::Number, Answer::One(0), quiet(&[child(Spelling::Longer, None)], &[post(None)])),
        lied(Search::Number, Answer::Everybody, quiet(&[child(Spelling::Longer, None)], &[post(None)])),
        // A correction names another person, before and after an answer that was lost.
        quiet(&[child(Spelling::Exact, None)], &[post(None), Post { person: 1, ..post(None) }]),
        Scene {
            fault: Some(Trouble { endpoint: Endpoint::CreateCase, how: How::CutAfterEffect }),
            ..quiet(&[], &[post(None), Post { person: 1, ..post(None) }])
        },
        Scene { together: true, ..quiet(&[named], &[post(Some(0)), Post { number: 1, person: 1, case_id: Some(0) }]) },
        Scene { together: true, ..quiet(&[], &[post(None), Post { number: 1, ..post(None) }]) },
    ];
    // Whatever somebody saves after the search and before the case is read once more.
    for what in [
        What::Number(0, 1, Spelling::Exact),
        What::Place(0, Place::Disabled),
        What::Place(0, Place::OtherModule),
        What::Status(0, "closed"),
        What::Identity(0, Identity::OtherSex),
        What::Identity(0, Identity::OtherName),
        What::CaseId(0, 1),
    ] {
        for endpoint in [Endpoint::CaseQuery, Endpoint::Forms, Endpoint::GetCase, Endpoint::PatchCase] {
            scenes.push(edited(endpoint, 0, what, quiet(&[named], &[post(Some(0))])));
        }
    }
    // What somebody saves before the first or the second of two searches, one of which tells what was.
    for what in [
        What::Number(0, 1, Spelling::Exact),
        What::Place(0, Place::Disabled),
        What::Status(0, "closed"),
        What::Identity(0, Identity::OtherName),
        What::CaseId(0, 1),
    ] {
        for (nth, search) in [(0, Search::Number), (0, Search::CaseId), (1, Search::Number), (1, Search::CaseId)] {
            let scene = quiet(&[child(Spelling::Exact, Some(0))], &[post(Some(0))]);
            scenes.push(lied(search, Answer::One(0), edited(Endpoint::CaseSearch, nth, what, scene)));
        }
    }
    // A case that was made, and what makes it hard to find again after its answer was lost.
    for what in [What::Number(0, 1, Spelling::Exact), What::Place(0, Place::Disabled), What::Place(0, Place::OtherModule)] {
        let fault = Some(Trouble { endpoint: Endpoint::CreateCase, how: How::CutAfterEffect });
        scenes.push(edited(Endpoint::GetCase, 0, what, Scene { fault, ..quiet(&[], &[post(None)]) }));
    }
    // A service that was added, and what makes its case hard to find again after the answer was lost; or somebody else easy to find.
    let found_otherwise = What::Register(child(Spelling::Exact, None));
    for what in [What::Number(0, 1, Spelling::Exact), What::Number(0, 0, Spelling::Missing), What::Place(0, Place::OtherModule)] {
        for more in [None, Some(found_otherwise)] {
            let edits =
                [what].into_iter().chain(more).map(|what| Edit { endpoint: Endpoint::CaseSearch, nth: 1, what }).collect();
            let fault = Some(Trouble { endpoint: Endpoint::PatchCase, how: How::CutAfterEffect });
            scenes.push(Scene { fault, edits, ..quiet(&[child(Spelling::Exact, None)], &[post(None)]) });
        }
    }
    // The answer to an added service is lost, the search goes on telling what was, and the number of its case is changed.
    for first in 0..2 {
        let number = Edit { endpoint: Endpoint::GetCase, nth: 1, what: What::Number(first, 1, Spelling::Longer) };
        let fault = Some(Trouble { endpoint: Endpoint::PatchCase, how: How::HtmlAfterEffect });
        for told in 0..2 {
            let scene = quiet(&[child(Spelling::Exact, None), child(Spelling::Exact, Some(1))], &[post(None)]);
            scenes.push(lied(Search::Number, Answer::One(told), Scene { fault, edits: vec![number], ..scene }));
        }
    }
    // A case was perhaps made and was not, another post makes it, and somebody saves it while the doubt is settled.
    for what in [
        What::Number(0, 0, Spelling::LowerCase),
        What::Place(0, Place::Disabled),
        What::Status(0, "closed"),
        What::Identity(0, Identity::OtherName),
    ] {
        let fault = Some(Trouble { endpoint: Endpoint::CreateCase, how: How::Status500 });
        let scene = quiet(&[], &[Post { number: 1, ..post(None) }, post(None)]);
        scenes.push(edited(Endpoint::GetCase, 2, what, Scene { fault, ..scene }));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let count = scenes.len();
    let wrong: Vec<_> = scenes
        .into_iter()
        .filter_map(|scene| Some(format!("{scene:?}: {}", runtime.block_on(play(scene.clone())).err()?)))
        .collect();
    assert_eq!(wrong, Vec::<String>::new(), "of {count} scenes");
}
