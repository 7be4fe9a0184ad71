//! Stacks of layers, each with the tree that podman and umoci make of it alike, or a refusal where
//! they differ. A flat table.

use super::{Image, listed, packed, unpacked};
use crate::corpus::bytes::{Raw, dir, file, hard, node, raw, symlink};
use crate::need;
use crate::support::scratch;
use std::fs;
use std::os::unix::fs::MetadataExt;

enum Expected {
    Tree(&'static [&'static str]),
    Refused(&'static [&'static str]),
}

use Expected::{Refused, Tree};

/// An empty file, as marks are.
fn mark(name: &str) -> Raw {
    file(name, "")
}

type Stack = (&'static str, Vec<Vec<Raw>>, Expected);

/// A flat table.
fn stacks() -> Vec<Stack> {
    let base = || vec![dir("d"), file("d/a", "1"), file("d/b", "2"), file("f", "3")];
    vec![
        ("one layer", vec![base()], Tree(&["d/", "d/a=1", "d/b=2", "f=3"])),
        ("an empty layer", vec![base(), vec![]], Tree(&["d/", "d/a=1", "d/b=2", "f=3"])),
        ("a file anew", vec![base(), vec![file("f", "4")]], Tree(&["d/", "d/a=1", "d/b=2", "f=4"])),
        (
            "a file more, without its directory",
            vec![base(), vec![file("d/c", "4")]],
            Tree(&["d/", "d/a=1", "d/b=2", "d/c=4", "f=3"]),
        ),
        (
            "a file in new directories",
            vec![base(), vec![file("x/y/z", "4")]],
            Tree(&["d/", "d/a=1", "d/b=2", "f=3", "x/", "x/y/", "x/y/z=4"]),
        ),
        (
            "a whiteout of a file",
            vec![base(), vec![mark(".wh.f")]],
            Tree(&["d/", "d/a=1", "d/b=2"]),
        ),
        (
            "a whiteout in a directory",
            vec![base(), vec![mark("d/.wh.a")]],
            Tree(&["d/", "d/b=2", "f=3"]),
        ),
        ("a whiteout of a directory", vec![base(), vec![mark(".wh.d")]], Tree(&["f=3"])),
        (
            "a whiteout of nothing",
            vec![base(), vec![mark(".wh.x"), mark("x/y/.wh.z")]],
            Tree(&["d/", "d/a=1", "d/b=2", "f=3"]),
        ),
        (
            "a whiteout, then the name again",
            vec![base(), vec![mark(".wh.f"), file("f", "4")]],
            Tree(&["d/", "d/a=1", "d/b=2", "f=4"]),
        ),
        (
            "a whiteout of a directory, then it again",
            vec![base(), vec![mark(".wh.d"), dir("d"), file("d/c", "4")]],
            Tree(&["d/", "d/c=4", "f=3"]),
        ),
        (
            "a whiteout two layers up",
            vec![base(), vec![file("d/c", "4")], vec![mark("d/.wh.a"), mark("d/.wh.c")]],
            Tree(&["d/", "d/b=2", "f=3"]),
        ),
        (
            "gone, and back a layer later",
            vec![base(), vec![mark(".wh.f")], vec![file("f", "5")]],
            Tree(&["d/", "d/a=1", "d/b=2", "f=5"]),
        ),
        (
            "an opaque directory before its files",
            vec![base(), vec![mark("d/.wh..wh..opq"), file("d/c", "4")]],
            Tree(&["d/", "d/c=4", "f=3"]),
        ),
        (
            "and behind them",
            vec![base(), vec![file("d/c", "4"), mark("d/.wh..wh..opq")]],
            Tree(&["d/", "d/c=4", "f=3"]),
        ),
        (
            "and behind the same name",
            vec![base(), vec![file("d/a", "4"), mark("d/.wh..wh..opq")]],
            Tree(&["d/", "d/a=4", "f=3"]),
        ),
        (
            "opaque at the root",
            vec![base(), vec![mark(".wh..wh..opq"), file("g", "4")]],
            Tree(&["g=4"]),
        ),
        (
            "opaque at the root, behind",
            vec![base(), vec![dir("d"), file("d/c", "4"), mark(".wh..wh..opq")]],
            Tree(&["d/", "d/c=4"]),
        ),
        (
            "opaque at the root, behind a file in a directory that is not named",
            vec![base(), vec![file("d/c", "4"), mark(".wh..wh..opq")]],
            Refused(&["'.wh..wh..opq'", "an opaque mark over a directory", "differently"]),
        ),
        (
            "opaque over a deeper tree",
            vec![
                vec![file("d/e/a", "1"), file("d/e/b", "2")],
                vec![dir("d/e"), file("d/e/b", "3"), mark("d/.wh..wh..opq")],
            ],
            Tree(&["d/", "d/e/", "d/e/b=3"]),
        ),
        (
            "opaque over a deeper tree that the layer does not name",
            vec![
                vec![file("d/e/a", "1"), file("d/e/b", "2")],
                vec![file("d/e/b", "3"), mark("d/.wh..wh..opq")],
            ],
            Refused(&["'d/.wh..wh..opq'", "an opaque mark over a directory", "differently"]),
        ),
        (
            "opaque over a tree of this layer alone",
            vec![
                vec![file("d/a", "1")],
                vec![file("x/y/b", "3"), mark("x/.wh..wh..opq"), mark("x/y/.wh..wh..opq")],
            ],
            Refused(&["'x/.wh..wh..opq'", "differently"]),
        ),
        (
            "the same mark twice, and one in what was cleared",
            vec![
                base(),
                vec![
                    mark("d/.wh..wh..opq"),
                    dir("d/e"),
                    file("d/e/x", "4"),
                    mark("d/e/.wh..wh..opq"),
                    mark("d/.wh..wh..opq"),
                ],
            ],
            Tree(&["d/", "d/e/", "d/e/x=4", "f=3"]),
        ),
        (
            "a whiteout that is a hard link",
            vec![base(), vec![file("g", "4"), hard(".wh.f", "g")]],
            Tree(&["d/", "d/a=1", "d/b=2", "g=4"]),
        ),
        (
            "a file in the place of a link that was gone through",
            vec![
                vec![dir("r"), symlink("q", "r")],
                vec![file("q/x", "1"), file("q", "2"), file("q/y", "3")],
            ],
            Refused(&["'q/y'"]),
        ),
        (
            "what the kernel has of its own is a link in the image",
            vec![
                vec![symlink("dev", "run/devs"), dir("run"), dir("run/devs")],
                vec![file("dev/q", "1"), symlink("e", "/proc"), dir("proc"), file("e/x", "2")],
            ],
            Tree(&[
                "dev->run/devs",
                "e->/proc",
                "proc/",
                "proc/x=2",
                "run/",
                "run/devs/",
                "run/devs/q=1",
            ]),
        ),
        (
            "opaque where nothing is",
            vec![base(), vec![mark("x/.wh..wh..opq")]],
            Tree(&["d/", "d/a=1", "d/b=2", "f=3"]),
        ),
        (
            "a hard link to a file below",
            vec![base(), vec![hard("g", "f")]],
            Tree(&["d/", "d/a=1", "d/b=2", "f=3 x2", "g=3 x2"]),
        ),
        (
            "a link, then a whiteout of its target",
            vec![base(), vec![hard("g", "f")], vec![mark(".wh.f")]],
            Tree(&["d/", "d/a=1", "d/b=2", "g=3"]),
        ),
        ("a directory becomes a file", vec![base(), vec![file("d", "4")]], Tree(&["d=4", "f=3"])),
        (
            "a file becomes a directory",
            vec![base(), vec![dir("f"), file("f/x", "4")]],
            Tree(&["d/", "d/a=1", "d/b=2", "f/", "f/x=4"]),
        ),
        (
            "a directory becomes a link",
            vec![base(), vec![symlink("d", "f")]],
            Tree(&["d->f", "f=3"]),
        ),
        (
            "a link becomes a directory",
            vec![vec![dir("r"), symlink("d", "r")], vec![dir("d"), file("d/a", "4")]],
            Tree(&["d/", "d/a=4", "r/"]),
        ),
        (
            "a link becomes a file",
            vec![vec![file("r", "1"), symlink("l", "r")], vec![file("l", "4")]],
            Tree(&["l=4", "r=1"]),
        ),
        (
            "a directory over a directory",
            vec![base(), vec![dir("d").mode(0o700)]],
            Tree(&["d/ 700", "d/a=1", "d/b=2", "f=3"]),
        ),
        (
            "a closed directory, and more in it",
            vec![vec![dir("d").mode(0o000), file("d/a", "1")], vec![file("d/b", "2")]],
            Tree(&["d/ 0", "d/a=1", "d/b=2"]),
        ),
        (
            "set-ID bits and sticky ones",
            vec![vec![file("s", "1").mode(0o4755)], vec![dir("t").mode(0o1777)]],
            Tree(&["s=1 4755", "t/ 1777"]),
        ),
        (
            "a file through a link to a directory",
            vec![
                vec![dir("usr"), dir("usr/lib"), symlink("lib", "usr/lib")],
                vec![file("lib/y", "1")],
            ],
            Tree(&["lib->usr/lib", "usr/", "usr/lib/", "usr/lib/y=1"]),
        ),
        (
            "through an absolute link",
            vec![
                vec![dir("usr"), dir("usr/lib"), symlink("lib", "/usr/lib")],
                vec![file("lib/y", "1")],
            ],
            Tree(&["lib->/usr/lib", "usr/", "usr/lib/", "usr/lib/y=1"]),
        ),
        (
            "a whiteout through a link",
            vec![
                vec![dir("r"), file("r/a", "1"), file("r/b", "2"), symlink("l", "r")],
                vec![mark("l/.wh.a")],
            ],
            Tree(&["l->r", "r/", "r/b=2"]),
        ),
        (
            "opaque through a link",
            vec![
                vec![dir("r"), file("r/a", "1"), symlink("l", "r")],
                vec![mark("l/.wh..wh..opq"), file("l/b", "2")],
            ],
            Tree(&["l->r", "r/", "r/b=2"]),
        ),
        (
            "a hard link through a link",
            vec![vec![dir("r"), file("r/a", "1"), symlink("l", "r")], vec![hard("b", "l/a")]],
            Tree(&["b=1 x2", "l->r", "r/", "r/a=1 x2"]),
        ),
        (
            "a link that climbs stays inside",
            vec![vec![dir("r"), symlink("l", "../../../r")], vec![file("l/a", "1")]],
            Tree(&["l->../../../r", "r/", "r/a=1"]),
        ),
        (
            "a link to a link",
            vec![vec![dir("r"), symlink("l", "m"), symlink("m", "r")], vec![file("l/a", "1")]],
            Tree(&["l->m", "m->r", "r/", "r/a=1"]),
        ),
        (
            "a whiteout of a link itself",
            vec![vec![dir("r"), file("r/a", "1"), symlink("l", "r")], vec![mark(".wh.l")]],
            Tree(&["r/", "r/a=1"]),
        ),
        (
            "a link in the same layer",
            vec![vec![dir("r"), symlink("l", "r"), file("l/a", "1")]],
            Tree(&["l->r", "r/", "r/a=1"]),
        ),
        (
            "names that look like marks",
            vec![vec![file("d/x.wh.y", "1"), file("d/.w", "2")]],
            Tree(&["d/", "d/.w=2", "d/x.wh.y=1"]),
        ),
        (
            "many layers",
            (0..40).map(|n| vec![file(format!("f{}", n % 3), n.to_string())]).collect(),
            Tree(&["f0=39", "f1=37", "f2=38"]),
        ),
        ("a name twice in a layer", vec![vec![file("f", "1"), file("f", "2")]], Tree(&["f=2"])),
        (
            "the root's mode",
            vec![vec![dir("."), file("f", "1")], vec![dir("./"), file("./g", "2")]],
            Tree(&["f=1", "g=2"]),
        ),
        // Where the two differ, or both fail.
        (
            "a whiteout of what the layer has made",
            vec![base(), vec![file("g", "1"), mark(".wh.g")]],
            Refused(&["'.wh.g'", "same layer"]),
        ),
        (
            "and of what it has replaced",
            vec![base(), vec![file("f", "1"), mark(".wh.f")]],
            Refused(&["'.wh.f'", "same layer"]),
        ),
        (
            "and of a directory in which it has made something",
            vec![base(), vec![file("d/c", "1"), mark(".wh.d")]],
            Refused(&["'.wh.d'", "same layer"]),
        ),
        (
            "a whiteout of the directory itself",
            vec![base(), vec![mark("d/.wh..")]],
            Refused(&["'d/.wh..'", "whiteout"]),
        ),
        (
            "a whiteout of the parent",
            vec![base(), vec![mark("d/.wh...")]],
            Refused(&["'d/.wh...'", "whiteout"]),
        ),
        (
            "a whiteout of no name",
            vec![base(), vec![mark("d/.wh.")]],
            Refused(&["'d/.wh.'", "whiteout"]),
        ),
        (
            "a mark of aufs",
            vec![base(), vec![mark(".wh..wh.plnk")]],
            Refused(&["'.wh..wh.plnk'", "whiteout"]),
        ),
        (
            "a directory called like a mark",
            vec![base(), vec![dir(".wh.f")]],
            Refused(&["'.wh.f'", "a whiteout that is a directory"]),
        ),
        (
            "a parent that is a file",
            vec![base(), vec![file("f/x", "1")]],
            Refused(&["'f/x'", "symlink or no directory"]),
        ),
        (
            "a hard link to what is gone",
            vec![base(), vec![mark(".wh.f"), hard("g", "f")]],
            Refused(&["'g'", "hard link"]),
        ),
        (
            "a hard link to nothing",
            vec![base(), vec![hard("g", "x")]],
            Refused(&["'g'", "hard link"]),
        ),
        (
            "links in a circle",
            vec![vec![symlink("a", "b"), symlink("b", "a")], vec![file("a/x", "1")]],
            Refused(&["'a/x'"]),
        ),
        (
            "a name that climbs",
            vec![base(), vec![file("../x", "1")]],
            Refused(&["'../x'", "outside"]),
        ),
        (
            "a whiteout that climbs",
            vec![base(), vec![mark("../.wh.x")]],
            Refused(&["'../.wh.x'", "outside"]),
        ),
        (
            "a layer of another kind of entry",
            vec![base(), vec![raw(b'Z', "z")]],
            Refused(&["'z'", "kind of entry"]),
        ),
        (
            "a fifo over a directory",
            vec![base(), vec![node(b'6', "d", 0, 0)]],
            Tree(&["d=", "f=3"]),
        ),
    ]
}

#[test]
fn every_stack_gives_its_tree_or_its_refusal_and_leaves_nothing_else() {
    need!(root);
    let victim = scratch("stack-victim");
    fs::write(victim.join("file"), "as it was").unwrap();
    let all = stacks();
    assert!(all.len() >= 55, "{}", all.len());
    for (name, layers, expected) in all {
        let layers: Vec<&[Raw]> = layers.iter().map(Vec::as_slice).collect();
        let image = Image::new(&layers);
        for (kind, files) in [("oci", image.layout()), ("docker", image.saved())] {
            let (ran, tree) = unpacked(&packed(&files), &[]);
            match &expected {
                Tree(lines) => {
                    assert_eq!(ran.code, 0, "{name} {kind}: {ran:?}");
                    let found: Vec<String> = if name.starts_with("a fifo") {
                        assert!(
                            fs::symlink_metadata(tree.join("d")).unwrap().mode() & 0o170_000
                                == 0o010_000
                        );
                        continue;
                    } else {
                        listed(&tree)
                    };
                    assert_eq!(found, *lines, "{name} {kind}");
                }
                Refused(words) => {
                    ran.fails(125, &[&["layer "], *words].concat());
                    assert!(!tree.exists(), "{name} {kind}: nothing is left");
                }
            }
        }
    }
    assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "as it was");
}
