"""Links keep what the reader chose."""

from stakewatch.grafana.links import board_link, boards_link, chosen_link, row_link, runbook_link
from stakewatch.grafana.thresholds import Alert
from stakewatch.grafana.variables import DatasourceVariable, contract_variables


def test_a_link_to_a_board_takes_the_series_labels_the_data_source_and_the_time() -> None:
    assert board_link("geth_node", "This node", ("cluster", "instance"))["url"] == (
        "/d/geth_node?var-cluster=${__field.labels.cluster}&var-instance=${__field.labels.instance}"
        "&${datasource:queryparam}&${__url_time_range}"
    )


def test_boards_open_in_place_and_the_menu_folds_out() -> None:
    links = (board_link("a", "A", ()), chosen_link("a", "A", ()), row_link("a", "A", {}))
    assert {link["targetBlank"] for link in links} == {False}
    assert boards_link()["asDropdown"] is True


def test_the_menu_of_boards_keeps_variables_and_time() -> None:
    link = boards_link()
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        ["stakewatch"],
        True,
        True,
    )


def test_a_runbook_opens_beside_the_board() -> None:
    alert = Alert("PeersLow", "warning", "Few peers", "https://runbooks.example/PeersLow")
    assert runbook_link(alert) == {
        "title": "Runbook: PeersLow",
        "url": "https://runbooks.example/PeersLow",
        "targetBlank": True,
    }


def test_variables_narrow_each_other_down_from_cluster_to_instance() -> None:
    datasource, *labels = contract_variables("execution", "geth")
    assert isinstance(datasource, DatasourceVariable)
    process = 'role="execution",implementation="geth"'
    assert [variable.to_json_data()["query"]["query"] for variable in labels] == [
        f"label_values(up{{{process}}}, cluster)",
        f'label_values(up{{{process},cluster=~"$cluster"}}, network)',
        f'label_values(up{{{process},cluster=~"$cluster",network=~"$network"}}, instance)',
    ]


def test_a_total_hands_on_what_the_reader_chose() -> None:
    link = chosen_link("validators", "Keys", ("network", "group"))
    assert link["url"] == (
        "/d/validators?${network:queryparam}&${group:queryparam}&${datasource:queryparam}&${__url_time_range}"
    )


def test_a_row_hands_on_what_stands_in_its_cells() -> None:
    link = row_link("validators", "Keys", {"group": "Group"})
    assert link["url"] == (
        "/d/validators?var-group=${__data.fields.Group}&${datasource:queryparam}&${__url_time_range}"
    )
