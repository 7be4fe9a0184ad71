//! The rule of the verdict, case by case.

use super::*;

fn identities() -> [Identity; 4] {
    [
        Identity::Same,
        Identity::Different,
        Identity::NoNamespace,
        Identity::Unreadable("hidden".into()),
    ]
}

fn answers() -> Vec<Answer> {
    let refusals = [RefusedBy::Wall, RefusedBy::Right, RefusedBy::WallOrRight, RefusedBy::Other];
    let refused = refusals.map(|refusal| Answer::Refused(refusal, "ERRNO".into()));
    let not_tried = [Answer::Untried("no /proc".into()), Answer::Unplanted("no queue".into())];
    [Answer::Through, Answer::Stayed].into_iter().chain(not_tried).chain(refused).collect()
}

fn every_case() -> impl Iterator<Item = (Identity, Answer, Receipt)> {
    identities().into_iter().flat_map(|identity| {
        answers().into_iter().flat_map(move |answer| {
            let identity = identity.clone();
            [Receipt::Arrived, Receipt::Admitted, Receipt::Absent]
                .into_iter()
                .map(move |receipt| (identity.clone(), answer.clone(), receipt))
        })
    })
}

#[test]
fn the_table_of_the_rule() {
    let refused = |refusal| Answer::Refused(refusal, "E".into());
    let table = [
        (Identity::Different, refused(RefusedBy::Wall), Receipt::Absent, "held"),
        (Identity::Different, refused(RefusedBy::WallOrRight), Receipt::Absent, "held"),
        (Identity::Different, Answer::Stayed, Receipt::Absent, "held"),
        (Identity::NoNamespace, refused(RefusedBy::Wall), Receipt::Absent, "held"),
        (Identity::Same, Answer::Through, Receipt::Arrived, "shared"),
        (Identity::Same, refused(RefusedBy::Right), Receipt::Absent, "shared"),
        (Identity::Different, Answer::Through, Receipt::Arrived, "leaked"),
        (Identity::Different, Answer::Through, Receipt::Admitted, "shared"),
        (Identity::NoNamespace, Answer::Through, Receipt::Admitted, "shared"),
        (Identity::NoNamespace, Answer::Through, Receipt::Arrived, "leaked"),
        (Identity::Different, refused(RefusedBy::Wall), Receipt::Arrived, "leaked"),
        (Identity::Unreadable("x".into()), Answer::Through, Receipt::Arrived, "shared"),
        (Identity::Unreadable("x".into()), refused(RefusedBy::Wall), Receipt::Absent, "unknown"),
        (Identity::Unreadable("x".into()), refused(RefusedBy::Right), Receipt::Absent, "unknown"),
        (Identity::Unreadable("x".into()), Answer::Stayed, Receipt::Absent, "unknown"),
        (Identity::Different, refused(RefusedBy::Right), Receipt::Absent, "unknown"),
        (Identity::Different, refused(RefusedBy::Other), Receipt::Absent, "unknown"),
        (Identity::Different, Answer::Through, Receipt::Absent, "unknown"),
        (Identity::Same, Answer::Through, Receipt::Absent, "unknown"),
        (Identity::Same, refused(RefusedBy::Wall), Receipt::Absent, "unknown"),
        (Identity::Same, Answer::Stayed, Receipt::Absent, "unknown"),
        (Identity::Different, Answer::Untried("x".into()), Receipt::Absent, "untried"),
        (Identity::Different, Answer::Unplanted("x".into()), Receipt::Absent, "unknown"),
    ];
    for (identity, answer, receipt, word) in table {
        assert_eq!(
            verdict(&identity, &answer, receipt, &Control::Crossed).word(),
            word,
            "{identity:?} {answer:?} {receipt:?}"
        );
    }
}

#[test]
fn nothing_is_held_without_a_control_that_crossed() {
    for (identity, answer, receipt) in every_case() {
        let failed = verdict(&identity, &answer, receipt, &Control::Failed("EPERM".into()));
        let expected = "the control failed: EPERM";
        assert_eq!(failed, Verdict::Unknown(expected.into()));
        let unplanted =
            verdict(&identity, &answer, receipt, &Control::Unplanted("no queue".into()));
        assert_eq!(unplanted, Verdict::Unknown("no queue".into()));
        let untried = verdict(&identity, &answer, receipt, &Control::Untried("no right".into()));
        assert_eq!(untried, Verdict::Untried("no right".into()));
    }
}

#[test]
fn nothing_is_held_that_is_shared_or_was_seen_outside_and_nothing_leaks_that_was_not() {
    for (identity, answer, receipt) in every_case() {
        let verdict = verdict(&identity, &answer, receipt, &Control::Crossed);
        let apart = matches!(identity, Identity::Different | Identity::NoNamespace);
        if !apart || receipt != Receipt::Absent || answer == Answer::Through {
            assert_ne!(verdict, Verdict::Held, "{identity:?} {answer:?} {receipt:?}");
        }
        if receipt != Receipt::Arrived {
            assert_ne!(verdict, Verdict::Leaked, "{identity:?} {answer:?}");
        }
    }
}

#[test]
fn one_leak_is_a_leak_and_only_what_all_probes_hold_is_held() {
    let (unknown, untried) = (Verdict::Unknown("a".into()), Verdict::Untried("b".into()));
    let of = |verdicts: &[&Verdict]| of_all(verdicts.iter().copied());
    assert_eq!(
        of(&[&Verdict::Held, &Verdict::Shared, &unknown, &Verdict::Leaked]),
        Verdict::Leaked
    );
    assert_eq!(of(&[&Verdict::Held, &unknown, &Verdict::Shared]), Verdict::Shared);
    assert_eq!(of(&[&Verdict::Held, &unknown]), unknown);
    assert_eq!(of(&[&Verdict::Held, &untried]), Verdict::Held);
    assert_eq!(of(&[&untried, &untried]), Verdict::Unknown("b".into()));
    assert!(matches!(of(&[]), Verdict::Unknown(_)));
}
