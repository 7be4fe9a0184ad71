//! The words of other launchers, and what they are called here; and the commands of the backup
//! program that is called rustic too. The two tables beside this file have the words.

use crate::error::Failure;

const OPTIONS: &str = include_str!("foreign-options");
const COMMANDS: &str = include_str!("foreign-commands");

/// What becomes of a word here.
enum Answer {
    /// It has another name.
    Spelled(&'static str),
    /// It is so anyway.
    Needless(&'static str),
    /// It is not there: what is not, and what to do.
    Missing(&'static str, &'static str),
}

/// What another launcher's option is called here; `None` for what nobody has.
pub(super) fn option(word: &str) -> Option<Failure> {
    let name = word.split('=').next().unwrap_or_default();
    // What stands behind one letter is its value, or further letters.
    let letter = name.get(..2).filter(|_| name.starts_with('-') && !name.starts_with("--"));
    found(OPTIONS, name).or_else(|| found(OPTIONS, letter?))
}

/// The same of a command.
pub(super) fn command(word: &str) -> Option<Failure> {
    found(COMMANDS, word)
}

fn found(table: &'static str, word: &str) -> Option<Failure> {
    let (_, answer) = lines(table).find(|(words, _)| words.split(' ').any(|one| one == word))?;
    Some(match answer? {
        Answer::Spelled(so) => Failure::new(format!("{word} has another name here")).remedy(so),
        Answer::Needless(why) => Failure::new(format!("{word} is not needed: {why}")),
        Answer::Missing(why, so) => Failure::new(format!("{word}: {why}")).remedy(so),
    })
}

/// The lines of a table: the words, and their answer.
fn lines(table: &'static str) -> impl Iterator<Item = (&'static str, Option<Answer>)> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut cells = line.split(" | ");
        let words = cells.next().unwrap_or_default();
        let answer = match (cells.next(), cells.next(), cells.next(), cells.next()) {
            (Some("spelled"), Some(so), None, None) => Some(Answer::Spelled(so)),
            (Some("needless"), Some(why), None, None) => Some(Answer::Needless(why)),
            (Some("missing"), Some(why), Some(so), None) => Some(Answer::Missing(why, so)),
            _ => None,
        };
        (words, answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_an_answer_and_no_word_stands_in_a_table_twice() {
        for (table, least) in [(OPTIONS, 100), (COMMANDS, 40)] {
            assert!(lines(table).all(|(words, answer)| !words.is_empty() && answer.is_some()));
            let words: Vec<&str> = lines(table).flat_map(|(words, _)| words.split(' ')).collect();
            let mut once = words.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), words.len());
            assert!(words.len() > least);
        }
    }

    #[test]
    fn values_and_further_letters_are_no_part_of_the_word() {
        assert!(option("--memory=1G").is_some() && option("-it").is_some());
        assert!(option("--nonsense").is_none() && option("-").is_none());
    }
}
