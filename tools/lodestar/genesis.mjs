// The genesis of a development chain: a Capella state of N interop validators and the chain's configuration.
//
//   LODESTAR_PRESET=minimal node genesis.mjs NODE_MODULES FOLDER GENESIS_TIME EXECUTION_GENESIS_HASH SECONDS_PER_SLOT VALIDATORS
//
// Writes FOLDER/genesis.ssz and FOLDER/config.yaml. The validators have 0x01 credentials, so withdrawals sweep over them.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [nodeModules, folder, genesisTime, executionGenesisHash, secondsPerSlot, validators] = process.argv.slice(2);
if (validators === undefined) {
  console.error("genesis.mjs: six arguments are needed; the comment at its top names them");
  process.exit(2);
}

// The modules wanted are not among the packages' "exports", but an absolute file address reaches them.
const load = (module) => import(pathToFileURL(path.resolve(nodeModules, "@lodestar", module)).href);
const { nodeUtils } = await load("beacon-node/lib/index.js");
const { createIChainForkConfig, chainConfigToJson } = await load("config/lib/index.js");
const { chainConfig: minimal } = await load("config/lib/chainConfig/presets/minimal.js");
const { dumpYaml } = await load("utils/lib/index.js");

const chain = {
  ...minimal,
  CONFIG_NAME: "devnet",
  ALTAIR_FORK_EPOCH: 0,
  BELLATRIX_FORK_EPOCH: 0,
  CAPELLA_FORK_EPOCH: 0,
  TERMINAL_TOTAL_DIFFICULTY: 0n,
  SECONDS_PER_SLOT: Number(secondsPerSlot),
  ETH1_FOLLOW_DISTANCE: 16,
  DEPOSIT_CHAIN_ID: 1337,
  DEPOSIT_NETWORK_ID: 1337,
  MIN_GENESIS_TIME: Number(genesisTime),
  GENESIS_DELAY: 0,
};
const { state } = nodeUtils.initDevState(createIChainForkConfig(chain), Number(validators), {
  genesisTime: Number(genesisTime),
  eth1BlockHash: Buffer.from(executionGenesisHash.slice(2), "hex"),
  withEth1Credentials: true,
});
fs.writeFileSync(path.join(folder, "genesis.ssz"), state.serialize());
fs.writeFileSync(path.join(folder, "config.yaml"), dumpYaml(chainConfigToJson(chain)));
