// The image store of a containerd elsewhere, over gRPC; and its records as messages.

import { type Image as ImageMessage, Images } from "../../api/containerd/gen/images.ts";
import type { Headers } from "../../wire/call.ts";
import type { GrpcClient } from "../../wire/grpc/client.ts";
import {
  descriptorFromMessage,
  descriptorToMessage,
  maskToMessage,
  required,
  timeFromMessage,
  timeToMessage,
} from "../messages.ts";
import type { Image, ImageStore } from "./images.ts";

export function remoteImages(client: GrpcClient, headers: Headers): ImageStore {
  const calls = client.of(Images, headers);
  return {
    get: async (name) => imageFromMessage((await calls.get({ name })).image),
    list: async (filters) => (await calls.list({ filters: [...filters] })).images.map(imageFromMessage),
    create: async (image) => imageFromMessage((await calls.create({ image: imageToMessage(image) })).image),
    update: async (image, fields) => {
      const request = { image: imageToMessage(image), updateMask: maskToMessage(fields) };
      return imageFromMessage((await calls.update(request)).image);
    },
    delete: async (name, { sync }) => void (await calls.delete({ name, sync })),
  };
}

export function imageFromMessage(message: ImageMessage | null): Image {
  const image = required(message, "image");
  return {
    name: image.name,
    target: descriptorFromMessage(image.target),
    labels: image.labels,
    createdAt: timeFromMessage(image.createdAt),
    updatedAt: timeFromMessage(image.updatedAt),
  };
}

export function imageToMessage(image: Pick<Image, "name" | "target" | "labels"> & Partial<Image>): ImageMessage {
  return {
    name: image.name,
    target: descriptorToMessage(image.target),
    labels: { ...image.labels },
    createdAt: image.createdAt === undefined ? null : timeToMessage(image.createdAt),
    updatedAt: image.updatedAt === undefined ? null : timeToMessage(image.updatedAt),
  };
}
