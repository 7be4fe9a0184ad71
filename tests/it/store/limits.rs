//! What there is too little of: room, files, memory, rights to write.

use super::{in_a_mount_namespace, many_files, names_in, rootfs, trees};
use crate::corpus::bytes::{dir, file, pax, tar};
use crate::need;
use crate::support::{Rustic, ended, eventually, roomy, scratch, shell};
use std::fs;

#[test]
fn a_file_system_that_is_full_of_bytes_or_of_files_is_one_clear_sentence() {
    need!(root);
    let folder = scratch("full");
    let packed = many_files(&folder, 300);
    fs::create_dir(folder.join("mnt")).unwrap();
    let (mut full, mut fits) = (0, 0);
    for limit in [
        "size=128k",
        "size=512k",
        "size=1m",
        "nr_inodes=12",
        "nr_inodes=40",
        "nr_inodes=200",
        "size=16m",
    ] {
        for command in ["import --store $M/store x $A", "unpack $A $M/new", "unpack $A $M"] {
            let script = format!(
                "M={0}/mnt A={1}; mount -t tmpfs -o {limit} none $M && $RUSTIC rootfs {command}; \
                    echo code $?; \
                 find $M -mindepth 1 ! -path $M/store -name '.rustic*' -o -path '*staging/*' | \
                    wc -l; \
                 find $M -name 'f1*' | wc -l; umount $M",
                folder.display(),
                packed.display()
            );
            let (out, err) = in_a_mount_namespace(&script);
            if out.contains("code 0\n") {
                assert!(
                    err.is_empty() && out.ends_with("0\n111\n"),
                    "{limit} {command}: {out} {err}"
                );
                fits += 1;
            } else {
                assert!(out.ends_with("code 125\n0\n0\n"), "{limit} {command}: {out} {err}");
                assert!(
                    err.matches("rustic: ").count() == 1 && err.contains("ENOSPC"),
                    "{limit} {command}: {err}"
                );
                full += 1;
            }
        }
    }
    assert!(full >= 12 && fits >= 3, "the control: {full} did not fit, {fits} did");
}

#[test]
fn a_read_only_store_is_one_clear_sentence() {
    need!(root);
    let folder = scratch("ro");
    let packed = many_files(&folder, 10);
    fs::create_dir(folder.join("mnt")).unwrap();
    let script = format!(
        "M={0}/mnt; mount -t tmpfs none $M && $RUSTIC rootfs import --store $M/s x {1} >/dev/null \
            && mount -o remount,ro $M; \
         $RUSTIC rootfs import --store $M/s y {1}; echo $?; \
         $RUSTIC rootfs rm --store $M/s x; echo $?; ls $M/s/names; \
         $RUSTIC rootfs list --store $M/s | grep -c '^x '",
        folder.display(),
        packed.display()
    );
    let (out, err) = in_a_mount_namespace(&script);
    assert_eq!(out, "125\n125\nx\n1\n", "{err}");
    assert!(err.matches("rustic: ").count() == 2 && err.matches("EROFS").count() == 2, "{err}");
}

#[test]
fn a_read_only_store_serves_what_it_has() {
    need!(root);
    let folder = scratch("ro-run");
    let store = super::store_with_a_root("ro-store");
    fs::create_dir(folder.join("mnt")).unwrap();
    let run = "$RUSTIC run --ipc no --store $M/store --rootfs";
    let script = format!(
        "M={0}/mnt; mount -t tmpfs none $M; cp -a {1} $M/store; rm -r $M/store/locks/*; \
         {run} box busybox cat /mark; echo; mount -o remount,ro $M; \
         {run} box sh -c 'echo x >/y; busybox cat /mark /y'; {run} {1}/../box.tar busybox cat /mark; echo; \
         {run} box --mount no busybox cat /mark; echo; {run} nosuch true; echo $?; mount -o remount,rw $M; chown 65534 $M/store; \
         {run} box busybox cat /mark; echo $?; chown 0 $M/store; chmod 777 $M/store; \
         mount -o remount,ro $M; {run} box busybox cat /mark; echo $?",
        folder.display(),
        store.display(),
    );
    let (out, err) = in_a_mount_namespace(&script);
    assert_eq!(out, "here\nherex\nhere\nhere\n125\n125\n125\n", "{err}");
    for word in ["no image of this name", "belongs to uid 65534", "can be written by others"] {
        assert_eq!(err.matches(word).count(), 1, "{word}: {err}");
    }
}

#[test]
fn limits_are_named_with_their_option() {
    need!(root);
    let folder = scratch("limits");
    let packed = folder.join("a.tar");
    fs::write(&packed, tar([file("d/e/f/a", "12345"), file("b", "12345")])).unwrap();
    let out = folder.join("out");
    let unpack = |option: &str, value: &str| {
        Rustic::command("rootfs")
            .opt(["unpack", option, value, packed.to_str().unwrap(), out.to_str().unwrap()])
            .ran()
    };
    unpack("--max-entries", "4").fails(
        125,
        &[
            "archive entry 'b'",
            "more than 4 entries, implied directories included (--max-entries of rustic rootfs)",
        ],
    );
    unpack("--max-size", "9").fails(
        125,
        &["archive entry 'b'", "more than 9 bytes in all (--max-size of rustic rootfs)"],
    );
    assert!(!out.exists());
    unpack("--max-entries", "5").ok();
    let _ = fs::remove_dir_all(&out);
    unpack("--max-size", "10").ok();
}

#[test]
fn a_tree_may_be_as_deep_as_a_path_is_long_where_that_is_ordered() {
    need!(root);
    let folder = scratch("deep");
    let busybox = fs::read("/bin/busybox").unwrap();
    let deep = "p/".repeat(2_000);
    let name = pax(&[("path", format!("{deep}mark").as_bytes())]);
    let entries = [file("busybox", busybox).mode(0o755), name, file("x", "here")];
    let packed = folder.join("deep.tar");
    fs::write(&packed, tar(entries.clone())).unwrap();
    let image = crate::images::Image::new(&[&entries]).layout();
    let layered = folder.join("layered.tar");
    fs::write(&layered, crate::images::packed(&image)).unwrap();
    let store = folder.join("store");
    for file in [packed, layered] {
        let file = file.to_str().unwrap();
        rootfs(&store, &["import", "deep", file])
            .ran()
            .fails(125, &["deeper than 256 directories", "--max-depth"]);
        rootfs(&store, &["import", "deep", file, "--max-depth", "2000"])
            .ran()
            .fails(125, &["deeper than 2000"]);
        let said = rootfs(&store, &["import", "deep", file, "--max-depth", "2001"]).ran().ok();
        assert!(said.contains("2 files, 2,00"), "{said}");
        // Copied, removed, and used.
        for mount in ["yes", "no"] {
            let mark = format!("/{deep}mark");
            let options = ["--store", store.to_str().unwrap(), "--rootfs", "deep"];
            let ran =
                Rustic::run().ns("mount", mount).opt(options).opt(["/busybox", "cat", &mark]).ran();
            assert_eq!(ran.stdout, "here", "{mount} {ran:?}");
        }
        eventually("nobody uses it", || rootfs(&store, &["rm", "deep"]).ran().code == 0);
        assert!(trees(&store).is_empty() && names_in(&store.join("runs")).is_empty());
    }
}

#[test]
fn memory_stays_small_whatever_the_archive_holds() {
    need!(root);
    let folder = roomy("memory");
    let gzip = crate::corpus::gzip;
    let mut directories = Vec::new();
    let mut closed = Vec::new();
    for number in 0..150_000 {
        directories
            .extend(dir(format!("{}/directory-with-a-long-name-{number}", number % 97)).bytes());
        closed.extend(dir(format!("{}/closed-{number}", number % 97)).mode(0).bytes());
    }
    directories.extend([0; 1024]);
    let block: Vec<u8> =
        (0_u32..8192).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let large = tar([file("large", block.repeat(25_000))]);
    for (name, bytes, code) in [
        ("directories", gzip(&directories), 0),
        ("closed", gzip(&closed), 125),
        ("large", gzip(&large), 0),
    ] {
        let packed = folder.join(name);
        fs::write(&packed, bytes).unwrap();
        let out = folder.join("out");
        let words = ["unpack", packed.to_str().unwrap(), out.to_str().unwrap()];
        let unpack = Rustic::command("rootfs").under(["/usr/bin/time", "-f", "peak of %M KiB"]);
        let ran = unpack.opt(words).ran();
        let kib: u64 = crate::support::number_after(&ran.stderr, "peak of").unwrap();
        assert!(kib < 32 << 10, "{name}: {kib} KiB");
        assert_eq!(ran.code, code, "{name}: {ran:?}");
        let _ = fs::remove_dir_all(folder.join("out"));
    }
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn a_limit_of_file_size_is_an_error_and_no_death() {
    need!(root);
    let folder = scratch("fsize");
    let packed = folder.join("a.tar");
    fs::write(&packed, tar([file("large", vec![b'x'; 3 << 20])])).unwrap();
    let out = folder.join("out");
    let script =
        format!("ulimit -f 1000; $RUSTIC rootfs unpack {} {}", packed.display(), out.display());
    ended(&mut shell(&["bash"], &script))
        .fails(125, &["archive entry 'large': cannot be written: EFBIG"]);
    assert_eq!(names_in(&folder), ["a.tar"]);
}
