//! Files of the host that are shown inside: whole trees, directories, images, queues.

use super::prepared;
use crate::judged::{probes, report, verdicts, verify, walls, wrong};
use crate::need;
use crate::support::{scratch, tree};
use serde_json::json;
use std::fs;

#[test]
fn the_whole_host_bound_is_told_with_what_lies_below() {
    need!(root);
    let (code, ordered) = report(verify().opt(["--bind", "/:/mnt:ro"]));
    assert_eq!((code, wrong(&ordered)), (0, vec![]), "{ordered:#}");
    for (wall, probe) in [
        ("pid", "RV-PID-03"),
        ("root", "RV-ROOT-08"),
        ("net", "RV-NET-05"),
        ("cgroup", "RV-CGR-05"),
        ("terminal", "RV-TTY-03"),
    ] {
        assert_eq!(probes(walls(&ordered)[wall])[probe].0, "shared", "{wall}: {ordered:#}");
    }
    let door = ordered["doors"].as_array().unwrap().iter().find(|door| door["kind"] == "files");
    let door = door.unwrap_or_else(|| panic!("{ordered:#}"));
    assert_eq!(
        (&door["source"], &door["target"], &door["writable"], &door["name"]),
        (&json!("/"), &json!("/mnt"), &json!(false), &json!("--bind /:/mnt"))
    );
}

#[test]
fn an_image_on_the_hosts_disk_leads_to_it_by_handle_where_the_right_is_there() {
    need!(root);
    let root = |caps: &str| {
        let (code, report) = report(verify().opt(["--mount", "no", "--caps", caps]));
        (code, verdicts(&report)["root"].to_owned())
    };
    assert_eq!(root("dac_read_search"), (0, "shared".into()));
    assert_eq!(root("default"), (0, "held".into()));
}

#[test]
fn a_directory_as_the_root_is_a_door_however_it_is_shown() {
    need!(root);
    let root = tree("doors-root");
    for file in ["hosts", "hostname", "resolv.conf"] {
        fs::write(root.join("etc").join(file), "").unwrap();
    }
    for how in ["", "--ephemeral", "--read-only", "--mount no", "--root chroot"] {
        let options = format!("--rootfs {} {how}", root.display());
        let (code, report) = report(verify().opt(options.split_whitespace()));
        assert_eq!((code, verdicts(&report)["root"]), (0, "shared"), "{how}: {report:#}");
    }
}

#[test]
fn a_place_whose_name_is_no_text_is_looked_at_like_any_other() {
    need!(root);
    let place = scratch("doors-bytes").display().to_string();
    let named = "d=$(printf 'm\\377'); mkdir -p \"$P/$d\"; mount -t tracefs t \"$P/$d\"";
    let script = format!("P={place}; {named}");
    let (code, bound) = prepared(&script, &format!("--bind {place}:/mnt"));
    assert_eq!((code, verdicts(&bound)["kernel"]), (0, "shared"), "{bound:#}");
    let (code, tight) = prepared(&script, "");
    assert_eq!((code, verdicts(&tight)["kernel"]), (0, "held"), "{tight:#}");
}

#[test]
fn a_queue_mount_of_the_host_is_a_way_to_its_queues_wherever_it_is() {
    need!(root);
    let place = scratch("doors-mqueue");
    let place = place.display();
    let mount = format!("mount -t mqueue q {place}");
    for target in ["/mnt", "/dev/mqueue"] {
        let (code, bound) = prepared(&mount, &format!("--bind {place}:{target}"));
        let ipc = walls(&bound)["ipc"];
        assert_eq!((code, wrong(&bound)), (0, vec![]), "{bound:#}");
        assert_eq!(
            (ipc["verdict"].as_str(), probes(ipc)["RV-IPC-08"].0),
            (Some("shared"), "shared"),
            "{ipc:#}"
        );
    }
    // The control: it is there, and nothing leads to it.
    let (code, tight) = prepared(&mount, "");
    assert_eq!((code, verdicts(&tight)["ipc"]), (0, "held"), "{tight:#}");
}

#[test]
fn a_directory_takes_the_mounts_below_it_along_but_for_views_of_the_kernel() {
    need!(root);
    let root = tree("doors-directory");
    for folder in ["mnt", "mnt/p", "mnt/host"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    for file in ["hosts", "hostname", "resolv.conf"] {
        fs::write(root.join("etc").join(file), "").unwrap();
    }
    let root = root.display();
    let below = format!("mount -t proc p {root}/mnt/p; mount --bind / {root}/mnt/host");
    let (code, taken) = prepared(&below, &format!("--rootfs {root}"));
    assert_eq!((code, wrong(&taken)), (0, vec![]), "{taken:#}");
    let (pid, files) = (walls(&taken)["pid"], walls(&taken)["root"]);
    assert_eq!(
        (pid["verdict"].as_str(), files["verdict"].as_str()),
        (Some("held"), Some("shared"))
    );
    let seen = files["probes"].as_array().unwrap().iter();
    let seen = seen.filter(|probe| probe["id"] == "RV-ROOT-08").map(|probe| &probe["door"]);
    assert_eq!(seen.collect::<Vec<_>>(), [&json!(format!("--rootfs {root}"))]);
    // Bound by name the view is there.
    let options = format!("--rootfs {root} --bind /proc:/mnt/p");
    let (code, bound) = prepared(&below, &options);
    assert_eq!((code, verdicts(&bound)["pid"]), (0, "shared"), "{bound:#}");
    // A host's whole tree as a root is what was ordered, and no leak.
    let (code, host) = report(verify().opt(["--rootfs", "/", "--read-only"]));
    assert_eq!((code, verdicts(&host)["root"], wrong(&host)), (0, "shared", vec![]), "{host:#}");
}
