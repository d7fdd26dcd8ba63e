export { nearMiss } from "../near-miss.ts";
