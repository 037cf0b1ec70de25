"""An engine of other authors, fed from the net's own tables, agrees with the tree."""

import numpy as np
import pytest
from power_grid_model import (
    CalculationMethod,
    LoadGenType,
    PowerGridModel,
    WindingType,
    initialize_array,
)

from cosim.feeder.state import SolveStatus

# simbench uses pandas interfaces that pandas is about to change
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

CODE = "1-LV-rural1--0-sw"


def component(kind, **columns):
    size = len(next(iter(columns.values())))
    array = initialize_array("input", kind, size)
    for name, value in columns.items():
        array[name] = value
    return array


def branches(frame, first, ends):
    return {
        "id": first + np.arange(len(frame)),
        "from_node": frame[ends[0]].to_numpy(),
        "to_node": frame[ends[1]].to_numpy(),
        "from_status": 1,
        "to_status": 1,
    }


def power_grid_model(net):
    """Convert by hand: SI units, rated values, no pandapower code."""
    line, trafo, supply = net.line, net.trafo, net.ext_grid.iloc[0]
    assert line.in_service.all()
    assert net.switch.closed.all()
    assert (trafo.tap_side == "hv").all()
    length = line.length_km.to_numpy()
    sn_va = 1e6 * trafo.sn_mva.to_numpy()
    return PowerGridModel(
        {
            "node": component(
                "node", id=net.bus.index.to_numpy(), u_rated=1e3 * net.bus.vn_kv.to_numpy()
            ),
            "line": component(
                "line",
                **branches(line, 1000, ("from_bus", "to_bus")),
                r1=line.r_ohm_per_km * length / line.parallel,
                x1=line.x_ohm_per_km * length / line.parallel,
                c1=1e-9 * line.c_nf_per_km * length * line.parallel,
                tan1=0.0,
                i_n=1e3 * line.max_i_ka,
            ),
            "transformer": component(
                "transformer",
                **branches(trafo, 2000, ("hv_bus", "lv_bus")),
                u1=1e3 * trafo.vn_hv_kv,
                u2=1e3 * trafo.vn_lv_kv,
                sn=sn_va,
                uk=trafo.vk_percent / 100,
                pk=trafo.vkr_percent / 100 * sn_va,
                i0=trafo.i0_percent / 100,
                p0=1e3 * trafo.pfe_kw,
                winding_from=WindingType.delta,
                winding_to=WindingType.wye_n,
                clock=(trafo.shift_degree / 30).astype(int),
                tap_side=0,
                tap_pos=trafo.tap_pos.astype(int),
                tap_min=trafo.tap_min.astype(int),
                tap_max=trafo.tap_max.astype(int),
                tap_nom=trafo.tap_neutral.astype(int),
                tap_size=1e3 * trafo.vn_hv_kv * trafo.tap_step_percent / 100,
            ),
            "source": component(
                "source", id=[3000], node=supply.bus, status=1, u_ref=supply.vm_pu, sk=1e20
            ),
            "sym_load": component(
                "sym_load",
                id=4000 + np.arange(len(net.bus)),
                node=net.bus.index.to_numpy(),
                status=1,
                type=LoadGenType.const_power,
            ),
        }
    )


def test_power_grid_model_agrees(network_of, simbench_net_of, make_feeder, random_states):
    net = simbench_net_of(CODE)
    network = network_of("simbench", CODE)
    assert (network.bus_index == net.bus.index).all()
    model = power_grid_model(net)
    feeder = make_feeder(network)
    p, q = random_states(feeder, 50, seed=11)
    update = initialize_array("update", "sym_load", p.shape)
    update["id"] = 4000 + np.arange(p.shape[1])
    update["p_specified"], update["q_specified"] = -1e3 * p, -1e3 * q
    result = model.calculate_power_flow(
        update_data={"sym_load": update},
        calculation_method=CalculationMethod.newton_raphson,
        error_tolerance=1e-11,
        max_iterations=50,
    )
    state = feeder.solve(p, q)
    assert (state.status == SolveStatus.OK).all()
    # the two place the (small) iron losses at different points of the transformer
    np.testing.assert_allclose(state.vm_pu, result["node"]["u_pu"], rtol=0, atol=2e-6)
    # a branch's losses are what enters at both ends
    lost = sum(
        (result[kind]["p_from"] + result[kind]["p_to"]).sum(axis=1) / 1e3
        for kind in ("line", "transformer")
    )
    np.testing.assert_allclose(state.losses_kw, lost, rtol=1e-4)
