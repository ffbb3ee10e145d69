"""The StorageClasses against what EBS gives."""

from pathlib import Path

import yaml

PATH = Path(__file__).parents[3] / "kubernetes" / "storage-class.yaml"
CLASSES = {one["metadata"]["name"]: one for one in yaml.safe_load_all(PATH.read_text(encoding="utf-8"))}


def test_nodes_get_what_they_need_and_keep_it() -> None:
    node = CLASSES["stakewatch-gp3"]
    assert node["parameters"] == {
        "type": "gp3",
        "iops": "5700",
        "throughput": "250",
        "encrypted": "true",
        "csi.storage.k8s.io/fstype": "xfs",
    }
    assert node["reclaimPolicy"] == "Retain"
    # gp3 moves 0.25 MiB/s for each operation: https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
    assert int(node["parameters"]["throughput"]) <= int(node["parameters"]["iops"]) / 4


def test_every_class_is_encrypted_can_grow_and_waits_for_the_zone_of_its_pod() -> None:
    assert set(CLASSES) == {"stakewatch-gp3", "stakewatch-gp3-baseline"}
    for one in CLASSES.values():
        assert one["parameters"]["encrypted"] == "true"
        assert one["allowVolumeExpansion"] is True
        assert one["volumeBindingMode"] == "WaitForFirstConsumer"


def test_a_small_volume_asks_for_no_more_than_gp3_grants_it() -> None:
    # 500 operations per GiB: the exporter's volume of 1 GiB would be refused 5,700.
    assert "iops" not in CLASSES["stakewatch-gp3-baseline"]["parameters"]
